// Bundles the front end into the files that the Python package ships.
//   node js/build.mjs            one minified build
//   node js/build.mjs --page     the fixture page, for the browser tests
//   node js/build.mjs --serve    rebuild on change, and serve the fixture page
import { basename, dirname, resolve } from "node:path";
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

/** What the first module hands over: see js/circuit/kit.ts. */
const standIns = {
  name: "stand-ins",
  setup({ onResolve }) {
    const filter = /\/(draw\/(dom|number)|state\/(asked|tokens))$/;
    onResolve({ filter }, () => ({ path: resolve(root, "js/circuit/given.ts") }));
  },
};

/** The second module: what it reacts to is the first one's, so its signals must be, too. */
const circuitOptions = {
  ...options,
  entryPoints: [
    { in: "js/circuit/index.ts", out: "circuit" },
    { in: "js/circuit/style.css", out: "circuit" },
  ],
  alias: { "@preact/signals-core": "./js/circuit/signals.ts" },
  plugins: [standIns],
};

/** Larger, they would be slow to load: in KiB, minified. */
const MOST = { "widget.js": 150, "circuit.js": 40 };

async function build() {
  for (const some of [options, circuitOptions]) {
    const { metafile } = await esbuild.build({ ...some, minify: true, metafile: true });
    for (const [path, { bytes }] of Object.entries(metafile.outputs)) {
      const size = bytes / 1024;
      console.log(`${path}  ${size.toFixed(1)} KB`);
      const most = MOST[basename(path)];
      if (size > most) throw new Error(`${path} is larger than ${most} KB`);
    }
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
const pageCircuitOptions = { ...circuitOptions, outdir: pageOptions.outdir };

async function serve() {
  const watched = { sourcemap: "inline", logLevel: "info" };
  const context = await esbuild.context({ ...pageOptions, ...watched });
  const circuit = await esbuild.context({ ...pageCircuitOptions, ...watched });
  await Promise.all([context.watch(), circuit.watch()]);
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
  else if (process.argv.includes("--page")) {
    await Promise.all([pageOptions, pageCircuitOptions].map(esbuild.build));
  } else await build();
} catch (error) {
  // esbuild has already printed its own errors, with the lines that they are about.
  if (!error.errors) throw error;
  process.exitCode = 1;
}
