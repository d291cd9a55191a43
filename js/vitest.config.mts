import { fileURLToPath } from "node:url";
import { defineConfig } from "vitest/config";

export default defineConfig({
  root: fileURLToPath(new URL("..", import.meta.url)),
  test: {
    environment: "jsdom",
    include: ["tests/js/**/*.test.ts"],
    // A test that leaks a rejected promise or an error on the page must fail.
    dangerouslyIgnoreUnhandledErrors: false,
    restoreMocks: true,
    // Two cores may be busy with Python and a browser at the same time.
    testTimeout: 30_000,
  },
});
