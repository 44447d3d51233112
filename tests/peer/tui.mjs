// The published TUI of protocol 4 in a terminal: it connects, a message is typed, the reply streams in.
import path from "node:path";
import { packages } from "./kit/scenario.mjs";

export default async function (scenario) {
    const gateway = await scenario.gateway();
    const home = scenario.home("tui", gateway);
    const program = path.join(packages("v4"), "openclaw/openclaw.mjs");
    const screen = open(scenario, home, [process.execPath, program, "tui"]);

    await scenario.until("the TUI to connect", () => screen.text().includes("gateway connected"), 60_000);
    scenario.ok(true, "connected");
    if (gateway.oracle) return;
    const words = "seven small lanterns";
    screen.type(words);
    await scenario.until("the typed words to show", () => screen.text().includes(words), 10_000);
    const typed = screen.text().length;
    screen.type("\r");
    // The built-in model answers with what it was told, so the words come back after they were sent.
    await scenario.until("the reply", () => count(screen.text().slice(typed), words) >= 2, 30_000);
    scenario.ok(true, "the reply is on the screen");
    screen.type("\x03\x03");
    await screen.ended;
}

const count = (text, part) => text.split(part).length - 1;

export function open(scenario, home, argv) {
    const terminal = path.join(import.meta.dirname, "kit/terminal.py");
    const child = scenario.spawn("python3", ["-B", terminal, ...argv], {
        env: scenario.environment(home), cwd: home, stdio: ["pipe", "pipe", "pipe"],
    });
    let raw = "";
    child.stdout.on("data", (bytes) => (raw += bytes));
    child.stderr.on("data", (bytes) => (raw += bytes));
    const ended = new Promise((done) => child.on("close", done));
    scenario.atEnd(() => (child.kill("SIGTERM"), ended)); // it takes the TUI with it
    scenario.atEnd(() => scenario.failures.length && console.log(`the screen, last 3000 bytes:\n${plain(raw).slice(-3000)}`));
    return {
        text: () => plain(raw),
        type: (text) => child.stdin.write(text),
        ended,
    };
}

// Without colours, cursor movement and window titles.
function plain(text) {
    return text.replace(/\x1b\][^\x07\x1b]*(\x07|\x1b\\)|\x1b\[[0-9;?<>=]*[a-zA-Z]|\x1b[()][A-Z0-9]|\x1b[=>78]|\x1b_[^\x1b]*\x1b\\/g, "").replace(/\s+/g, " ");
}
