// Started by the task program beside the installed tool: node build.mjs app.js wit component.wasm
import { writeFile } from "node:fs/promises";
import { componentize } from "@bytecodealliance/componentize-js";

const [sourcePath, witPath, out] = process.argv.slice(2);
// The handler that this world exports is answered by the fetch event.
const { component } = await componentize({ sourcePath, witPath, worldName: "proxy" });
await writeFile(out, component);
