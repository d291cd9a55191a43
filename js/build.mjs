// Bundles the front end into the files that the Python package ships.
//   node js/build.mjs            one minified build
//   node js/build.mjs --page     the fixture page, for the browser tests
//   node js/build.mjs --serve    rebuild on change, and serve the fixture page
import { dirname, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import * as esbuild from "esbuild";

const root = resolve(dirname(fileURLToPath(import.meta.url)), "..");
const FIXTURE_PAGE = "tests/js/page/";
const FIRST_PORT = 8017;

/** One file each: a blob URL, which is how hosts load the module, cannot find chunks. */
const options = {
  absWorkingDir: root,
  entryPoints: [
    { in: "js/index.ts", out: "widget" },
    { in: "js/export.ts", out: "export" },
    { in: "js/style.css", out: "widget" },
  ],
  outdir: "patchwidget/static",
  tsconfig: "js/tsconfig.json",
  bundle: true,
  format: "esm",
  target: "es2022",
  charset: "utf8",
  logLevel: "warning",
};

async function build() {
  const { metafile } = await esbuild.build({
    ...options,
    minify: true,
    metafile: true,
  });
  for (const [path, { bytes }] of Object.entries(metafile.outputs)) {
    console.log(`${path}  ${(bytes / 1024).toFixed(1)} KB`);
  }
}

/** The page draws from the sources, so that it needs no kernel and no bundle. */
const pageOptions = {
  ...options,
  entryPoints: [
    { in: `${FIXTURE_PAGE}main.ts`, out: "page" },
    { in: "js/style.css", out: "widget" },
  ],
  outdir: "build/page",
};

async function serve() {
  const context = await esbuild.context({
    ...pageOptions,
    sourcemap: "inline",
    logLevel: "info",
  });
  await context.watch();
  // The whole checkout is served: the page lies in one folder, its script in another.
  const { port } = await context.serve({
    servedir: root,
    host: "127.0.0.1",
    port: FIRST_PORT,
  });
  console.log(`fixture page: http://127.0.0.1:${port}/${FIXTURE_PAGE}`);
}

try {
  if (process.argv.includes("--serve")) await serve();
  else if (process.argv.includes("--page")) await esbuild.build(pageOptions);
  else await build();
} catch (error) {
  // esbuild has already printed its own errors, with the lines that they are about.
  if (!error.errors) throw error;
  process.exitCode = 1;
}
