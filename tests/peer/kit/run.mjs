// Runs one peer scenario: kit/run <scenario.mjs>. Exit 0 passed, 1 failed, 77 skipped.
// Everything a scenario starts is stopped at its end, by process id, whatever happened.
import path from "node:path";
import { pathToFileURL } from "node:url";
import { Scenario, Skip } from "./scenario.mjs";

const file = path.resolve(process.argv[2] ?? "");
const limitMs = Number(process.env.CULVERT_PEER_LIMIT_MS ?? 280_000);
const scenario = new Scenario(path.basename(file, ".mjs"));

const watchdog = setTimeout(() => end(new Error(`not finished within ${limitMs} ms`)), limitMs);
for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"]) process.once(signal, () => end(new Error(`stopped by ${signal}`)));
process.on("unhandledRejection", (error) => end(error));

let ended = false;
async function end(error) {
    if (ended) return;
    ended = true;
    clearTimeout(watchdog);
    if (error instanceof Skip) {
        await scenario.close();
        console.log(`skipped: ${error.message}`);
        process.exit(77);
    }
    if (error) scenario.failures.push(error.stack ?? String(error));
    await scenario.close();
    const { failures } = scenario; // closing may add some: how the gateway left
    for (const failure of failures) console.log(`FAILED: ${failure}`);
    console.log(`${scenario.name}: ${scenario.checks} checks, ${failures.length} failed`);
    process.exit(failures.length ? 1 : 0);
}

try {
    const { default: run } = await import(pathToFileURL(file));
    await run(scenario);
    await end(null);
} catch (error) {
    await end(error);
}
