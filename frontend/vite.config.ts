import { readdirSync } from "node:fs";
import { basename, resolve } from "node:path";
import { defineConfig } from "vitest/config";

const root = import.meta.dirname;

/** One bundle per file of `src/entries`: the tag `{% island "chat" %}` loads the bundle of `src/entries/chat.ts`. */
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
    // The bundles contain packages whose licences must be distributed with them.
    license: { fileName: "licenses.md" },
    target: "es2022",
    // The pages' content security policy allows `data:` addresses for images and fonts only.
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
    rolldownOptions: { input: mode === "test" ? {} : entries() },
  },
  test: {
    environment: "happy-dom",
    include: ["src/**/*.test.ts"],
    dangerouslyIgnoreUnhandledErrors: false,
    restoreMocks: true,
  },
}));
