// What WebChat's page knows of a conversation, without a browser: its modules run in Node against the gateway's words
// put together here. Nothing lost, nothing doubled, in whatever order things come.
import path from "node:path";
import { pathToFileURL } from "node:url";
import { TOP } from "./kit/scenario.mjs";

const page = (name) => import(pathToFileURL(path.join(TOP, "gateway/webchat/page/js", name)));
const KEY = "agent:main:main";

const stored = (seq, role, text, runId, extra = {}) => ({
    role, content: [{ type: "text", text }], timestamp: 1000 + seq, ...(role === "user" && { idempotencyKey: `${runId}:user` }),
    __openclaw: { id: `m${seq}`, seq, recordTimestampMs: 1000 + seq, runId }, ...extra,
});
const event = (message) => ({ sessionKey: KEY, sessionId: "s1", message, messageSeq: message.__openclaw.seq });
const delta = (runId, text, deltaText, replace) => ({ runId, sessionKey: KEY, state: "delta", deltaText, ...(replace && { replace }), message: { role: "assistant", content: [{ type: "text", text }] } });

export default async function (scenario) {
    const { Conversation } = await page("conversation.js");
    const check = (seen, wanted, what) => scenario.ok(JSON.stringify(seen) === JSON.stringify(wanted), what, { seen, wanted });
    const seqs = (c) => c.messages.map(({ seq }) => seq);

    // A transcript on the other side, read in pages as chat.history does.
    const server = { sessionId: "s1", all: [], active: [] };
    const request = async (method, { limit, offset = 0 }) => {
        const through = server.all.length - offset;
        const messages = server.all.slice(Math.max(0, through - limit), Math.max(0, through));
        const first = messages[0]?.__openclaw.seq;
        return { sessionId: server.sessionId, messages, hasMore: first > 1, totalMessages: server.all.length, sessionInfo: { key: KEY, sessionId: server.sessionId, activeRunIds: server.active } };
    };
    const fill = (n) => { for (let seq = server.all.length + 1; seq <= n; seq++) server.all.push(stored(seq, seq % 2 ? "user" : "assistant", `text ${seq}`, `r${Math.ceil(seq / 2)}`)); };

    fill(150);
    let c = new Conversation(KEY, request);
    await c.load();
    check([seqs(c)[0], seqs(c).at(-1), c.hasMore], [91, 150, true], "the newest page comes first");
    fill(155); // more arrives while older pages are read
    for (const message of server.all.slice(150)) c.onMessage(event(message));
    while (c.hasMore) await c.loadOlder();
    check(seqs(c), Array.from({ length: 155 }, (_, i) => i + 1), "paging upwards, with new words at the end, gives each once and in order");
    c.onMessage(event(server.all[99]));
    await c.load();
    check(seqs(c).length, 155, "what is told twice is there once");

    fill(170);
    await c.load();
    check(seqs(c).at(-1) === 170 && seqs(c).length === 170, true, "after a loss the newest page is merged");
    fill(300);
    await c.load();
    check([seqs(c)[0], seqs(c).at(-1), c.hasMore], [241, 300, true], "a hole is never shown: what is older is read again");

    // An answer on its way, with messages between.
    c = new Conversation(KEY, request);
    server.all = [];
    fill(0);
    await c.load();
    c.addPending({ runId: "k1", text: "hello" });
    c.onMessage(event(stored(1, "user", "hello", "k1")));
    check([c.pending.length, seqs(c)], [0, [1]], "what was typed here becomes the stored message");
    c.onChat(delta("k1", "Let me", "Let me"));
    c.onChat(delta("k1", "Let me look", " look"));
    check(c.runs.get("k1").text, "Let me look", "deltas grow");
    c.onChat({ ...delta("k1", "", " there"), message: undefined });
    check(c.runs.get("k1").text, "Let me look there", "also without the whole text");
    c.onMessage(event(stored(2, "assistant", "Let me look there", "k1")));
    check(c.runs.get("k1").text, "", "a stored message is not shown a second time as being written");
    c.onChat(delta("k1", "Found", "Found", true));
    check(c.runs.get("k1").text, "Found", "the next message begins anew");
    c.onChat(delta("k1", "Found it all", " it all"));
    c.onMessage(event(stored(3, "assistant", "Found it all.", "k1")));
    c.onChat({ runId: "k1", state: "final", message: { content: [{ type: "text", text: "Found it all." }] } });
    check([seqs(c), c.runs.size, c.notices.length, c.busy], [[1, 2, 3], 0, 0, false], "the end leaves the stored messages and nothing else");

    // A new delta may overtake the stored message before it.
    c.onChat(delta("k2", "One", "One"));
    c.onChat(delta("k2", "Two", "Two", true));
    c.onMessage(event(stored(4, "assistant", "One", "k2")));
    check(c.runs.get("k2").text, "Two", "a late stored message does not take away the next one's text");
    c.onChat({ runId: "k2", state: "aborted" });

    // A command's answer is stored nowhere.
    c.addPending({ runId: "k3", text: "/status" });
    c.onChat({ runId: "k3", state: "final", message: { content: [{ type: "text", text: "All well" }] } });
    check([c.notices.map(({ kind, text }) => `${kind} ${text}`), c.pending.length], [["question /status", "answer All well"], 0], "a command no transcript keeps stands before its answer");

    // A message that joined another's run carries that run's id, and its own key.
    c.addPending({ runId: "k5", text: "and this" });
    c.onMessage(event({ ...stored(5, "user", "and this", "k4"), idempotencyKey: "k5:user" }));
    check(c.pending.filter(({ runId }) => runId === "k5").length, 0, "a message that joined a run is known by its own key");

    // Away while a run ended: the history says so.
    c.onChat(delta("k6", "half", "half"));
    server.all = [1, 2, 3].map((seq) => stored(seq, "assistant", `x${seq}`, "k6"));
    await c.load();
    check(c.runs.has("k6"), false, "a run that ended while the line was down is not awaited");
    server.active = ["k7"];
    await c.load();
    check(c.busy, true, "… and one that goes on is");

    server.sessionId = "s2";
    server.all = [];
    server.active = [];
    c.onMessage({ sessionKey: KEY, sessionId: "s2", message: stored(1, "user", "anew", "k8") });
    check([seqs(c), c.messages[0].message.content[0].text, c.notices.length], [[1], "anew", 0], "a reset begins with an empty page");
}
