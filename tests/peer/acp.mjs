// Agents of the Agent Client Protocol behind a real gateway: the SDK's own example agent, whose permission
// request a second client answers over the WebSocket, and a program that floods, and that must not outlive a
// gateway killed with -9.
import fs from "node:fs";
import path from "node:path";
import { TOP, packages, sleep } from "./kit/scenario.mjs";
import { connect } from "./kit/raw.mjs";

const script = path.join(TOP, "tests/tool/acp_agent.py");

export default async function (scenario) {
    const example = path.join(packages("acp"), "@agentclientprotocol/sdk/dist/examples/agent.js");
    const config = configuration(example);
    const gateway = await scenario.gateway({ config });
    const chatter = await connect(gateway.url, { token: gateway.token, scopes: ["operator.read", "operator.write"], caps: ["tool-events"] });
    const reviewer = await connect(gateway.url, { token: gateway.token, scopes: ["operator.approvals"] });
    scenario.atEnd(() => (chatter.close(), reviewer.close()));

    const list = await chatter.request("agents.list", {});
    const row = list.payload?.agents.find((agent) => agent.id === "sdk");
    scenario.ok(row?.agentRuntime?.id === "acp" && row.model?.primary === "acp/sdk", "agents.list names kind and program", row);

    // One after the other in one session; the waits of the example agent are its own.
    await Promise.all([
        decided(scenario, chatter, reviewer, "agent:sdk:yes", "allow-once", "successfully updated the configuration"),
        decided(scenario, chatter, reviewer, "agent:sdk:no", "deny", "prefer not to make that change"),
        aborted(scenario, chatter, reviewer, "agent:sdk:stop"),
    ]);
    await flooded(scenario, chatter);
    await byCommand(scenario, gateway, chatter);
    scenario.ok(!chatter.events.some((frame) => frame.event.startsWith("exec.approval")), "who may not approve hears of no approval");
    await killed(scenario, config);
}

function configuration(example) {
    const agents = ["sdk", "script", "deaf"];
    return {
        agents: {
            defaults: { maxConcurrent: 8 },
            list: [{ id: "main", default: true }, ...agents.map((agent) => ({ id: agent, name: agent, runtime: { type: "acp", acp: { agent } } }))],
        },
        plugins: { entries: { acpx: { config: { agents: {
            sdk: { command: process.execPath, args: [example] },
            script: { command: "python3", args: [script] },
            deaf: { command: "python3", args: [script, "--deaf"] },
        } } } } },
    };
}

const textOf = (payload) => (payload.message?.content ?? []).map((part) => part.text ?? "").join("");

// The run's last chat event.
async function finished(scenario, chatter, runId, limitMs = 30_000) {
    const ends = ["final", "aborted", "error"];
    return (await scenario.until(`the end of ${runId}`, () => chatter.events.find((frame) =>
        frame.event === "chat" && frame.payload.runId === runId && ends.includes(frame.payload.state)), limitMs)).payload;
}

async function asked(scenario, reviewer, sessionKey) {
    return (await scenario.until(`the question of ${sessionKey}`, () => reviewer.events.find((frame) =>
        frame.event === "exec.approval.requested" && frame.payload.request.sessionKey === sessionKey))).payload;
}

async function send(chatter, sessionKey, message, runId) {
    return chatter.request("chat.send", { sessionKey, message, idempotencyKey: runId });
}

async function decided(scenario, chatter, reviewer, sessionKey, decision, words) {
    const runId = `run-${decision}`;
    await send(chatter, sessionKey, "Please tidy up.", runId);
    const question = await asked(scenario, reviewer, sessionKey);
    scenario.ok(question.request.command.includes("Modifying critical configuration file"), "the reviewer reads what is asked", question.request);
    scenario.ok(JSON.stringify(question.request.allowedDecisions) === '["allow-once","deny"]', "only what the program offers can be chosen", question.request);
    const answer = await reviewer.request("exec.approval.resolve", { id: question.id, decision });
    scenario.ok(answer.ok, `the reviewer's ${decision} is taken`, answer);
    const end = await finished(scenario, chatter, runId);
    scenario.ok(end.state === "final" && textOf(end).includes(words), `${decision}: the agent goes on as decided`, end);
    const tools = chatter.events.filter((frame) => frame.event === "agent" && frame.payload.runId === runId && frame.payload.stream === "tool");
    scenario.ok(tools.some((frame) => frame.payload.data.phase === "result" && frame.payload.data.name === "read"), `${decision}: tool events are told`, tools.map((f) => f.payload.data));
    await kept(scenario, chatter, sessionKey);
}

// user, assistant that calls, its result, assistant that calls again, …, the last answer
async function kept(scenario, chatter, sessionKey) {
    const history = await chatter.request("chat.history", { sessionKey });
    const roles = history.payload.messages.map((message) => message.role).join(" ");
    scenario.ok(/^user assistant toolResult assistant toolResult assistant$/.test(roles), "the transcript is in the order of the work", roles);
    const call = history.payload.messages[1].content.find((part) => part.type === "toolCall");
    scenario.ok(call?.name === "read" && call.arguments.path === "/project/README.md", "with the calls' arguments", call);
}

async function aborted(scenario, chatter, reviewer, sessionKey) {
    await send(chatter, sessionKey, "Please tidy up.", "run-stop");
    const question = await asked(scenario, reviewer, sessionKey);
    await chatter.request("chat.abort", { sessionKey, runId: "run-stop" });
    const end = await finished(scenario, chatter, "run-stop");
    scenario.ok(end.state === "aborted", "an abort ends the turn", end);
    const gone = await scenario.until("the question to be withdrawn", () => reviewer.events.find((frame) => frame.event === "exec.approval.resolved" && frame.payload.id === question.id));
    scenario.ok(gone.payload.reason === "withdrawn", "and its question", gone.payload);
}

// 100,000 updates as fast as the program can: others are answered all the same.
async function flooded(scenario, chatter) {
    await send(chatter, "agent:script:flood", "hello", "run-warm");
    await finished(scenario, chatter, "run-warm");
    let slowest = 0, count = 0, done = false;
    await send(chatter, "agent:script:flood", "flood 100000", "run-flood");
    const end = finished(scenario, chatter, "run-flood").finally(() => (done = true));
    while (!done) {
        const begin = performance.now();
        await chatter.request("last-heartbeat", {});
        slowest = Math.max(slowest, performance.now() - begin);
        count++;
        await sleep(2);
    }
    scenario.ok((await end).state === "final" && textOf(await end).length === 1_000_000, "nothing of a flood is lost", (await end).state);
    scenario.ok(slowest < 500, "a flood delays nobody", `${slowest} ms`);
    scenario.say(`flood: ${count} calls beside it, the slowest took ${slowest.toFixed(1)} ms`);
}

async function byCommand(scenario, gateway, chatter) {
    const program = process.env.CULVERT_BIN ?? path.join(TOP, "build/asan/culvert");
    const run = (...args) => scenario.run(program, [...args, "--url", gateway.url, "--token", gateway.token], { env: scenario.environment(gateway.state) });
    await send(chatter, "agent:script:cli", "permit", "run-cli");
    let shown = "";
    await scenario.until("the command to list it", async () => /^([0-9a-f]{8})/m.test(shown = (await run("approvals", "list")).out));
    scenario.ok(shown.includes("Write the file") && shown.includes("/etc/hosts"), "culvert approvals list shows all of it", shown);
    const allowed = await run("approvals", "allow", /^([0-9a-f]{8})/m.exec(shown)[1], "--always");
    scenario.ok(allowed.status === 0 && allowed.out.includes("done"), "culvert approvals allow takes the beginning of an id", allowed);
    const end = await finished(scenario, chatter, "run-cli");
    scenario.ok(textOf(end).includes("o-allow_always"), "and the agent goes on", end);
}

// The program ignores SIGTERM and the end of its input, and has a child of its own.
async function killed(scenario, config) {
    const gateway = await scenario.gateway({ config });
    const chatter = await connect(gateway.url, { token: gateway.token, scopes: ["operator.read", "operator.write"] });
    await send(chatter, "agent:deaf:main", "grandchild", "run-kill");
    const pids = textOf(await finished(scenario, chatter, "run-kill")).match(/\d+/g).map(Number);
    const alive = (pid) => {
        try {
            return !/\) [ZX] /.test(fs.readFileSync(`/proc/${pid}/stat`, "utf8"));
        } catch {
            return false;
        }
    };
    scenario.ok(pids.length === 2 && pids.every(alive), "two processes run", pids);
    gateway.child.stopped = true; // it leaves otherwise than asked
    process.kill(gateway.child.pid, "SIGKILL");
    await scenario.until("both to be gone", () => !pids.some(alive), 5_000).catch(() => {});
    scenario.ok(!pids.some(alive), "none outlives a gateway killed with -9", pids);
}
