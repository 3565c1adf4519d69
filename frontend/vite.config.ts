import { globSync } from "node:fs";
import { basename, resolve } from "node:path";
import { defineConfig } from "vitest/config";

const root = import.meta.dirname;

/** One entry per island: `src/entries/chat.ts` is what `{% island "chat" %}` loads. */
const entries = Object.fromEntries(
  globSync("src/entries/*.ts", { cwd: root })
    .filter((file) => !file.endsWith(".test.ts"))
    .map((file) => [basename(file, ".ts"), resolve(root, file)]),
);

export default defineConfig({
  root,
  base: "./",
  publicDir: false,
  build: {
    outDir: resolve(root, "../src/clubhouse/ui/static/clubhouse/dist"),
    emptyOutDir: true,
    manifest: "manifest.json",
    target: "es2022",
    // The pages forbid data: addresses for everything but images.
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
    rolldownOptions: { input: entries },
  },
  test: {
    environment: "happy-dom",
    include: ["src/**/*.test.ts", "../src/clubhouse/*/frontend/**/*.test.ts"],
    dangerouslyIgnoreUnhandledErrors: false,
    restoreMocks: true,
  },
});
