import { readdirSync } from "node:fs";
import { basename, resolve } from "node:path";
import { defineConfig } from "vitest/config";

const root = import.meta.dirname;

/** One entry per island: `src/entries/chat.ts` is what `{% island "chat" %}` loads. */
function entries(): Record<string, string> {
  const folder = resolve(root, "src/entries");
  const files = readdirSync(folder).filter((file) => file.endsWith(".ts") && !file.endsWith(".test.ts"));
  return Object.fromEntries(files.map((file) => [basename(file, ".ts"), resolve(folder, file)]));
}

export default defineConfig(({ mode }) => ({
  root,
  base: "./",
  publicDir: false,
  build: {
    outDir: resolve(root, "../src/clubhouse/ui/static/clubhouse/dist"),
    emptyOutDir: true,
    manifest: "manifest.json",
    // The bundles hold other people's code: their licences travel with it.
    license: { fileName: "licenses.md" },
    target: "es2022",
    // The pages forbid data: addresses for everything but images.
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
    rolldownOptions: { input: mode === "test" ? {} : entries() },
  },
  test: {
    environment: "happy-dom",
    include: ["src/**/*.test.ts", "../src/clubhouse/*/frontend/**/*.test.ts"],
    dangerouslyIgnoreUnhandledErrors: false,
    restoreMocks: true,
  },
}));
