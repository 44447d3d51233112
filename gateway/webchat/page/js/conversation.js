// What one session holds, as this page knows it: stored messages in order, the runs that are being answered, and
// what was typed here and is not stored yet. No elements in here; tests/unit of the page run it in Node.
//
// Nothing is lost or doubled: a message is known by its transcript seq, what was typed here by its idempotency
// key (the run id), which the stored message carries. After a reconnect the newest page is read again and merged;
// what the gateway does not know is sent again with the same key. protocol.md 6.
import { Emitter } from "./emitter.js";

const PAGE = 60;

export class Conversation extends Emitter {
    sessionId = null;
    messages = []; // stored, by seq
    runs = new Map(); // runId → Run
    pending = []; // typed here, not seen in the transcript yet
    notices = []; // what no transcript keeps (slash commands and their answers): {id, kind, afterSeq, text, at}
    loaded = false;
    loading = false;
    hasMore = false;
    total = 0;
    error = null;
    info = null; // the session's row
    #bySeq = new Map();
    #request;
    #generation = 0;

    constructor(key, request) {
        super();
        this.key = key;
        this.#request = request;
    }

    get newestSeq() {
        return this.messages.at(-1)?.seq ?? 0;
    }

    get busy() {
        return [...this.runs.values()].some((run) => !run.ended);
    }

    // ---- reading ----

    // The newest page, merged with what is here.
    async load() {
        const generation = ++this.#generation;
        this.loading = true;
        this.error = null;
        this.#changed();
        try {
            const page = await this.#request("chat.history", { sessionKey: this.key, limit: PAGE });
            if (generation !== this.#generation) return;
            this.#takeNewest(page);
            this.loaded = true;
        } catch (error) {
            if (generation === this.#generation && !error.lost) this.error = error;
        }
        if (generation === this.#generation) this.loading = false;
        this.#changed();
    }

    async loadOlder() {
        if (this.loading || !this.hasMore || !this.messages.length) return;
        const generation = this.#generation;
        this.loading = true;
        this.#changed();
        try {
            // Offsets count back from the newest message there is; overlap is merged away.
            const offset = Math.max(0, this.newestSeq - this.messages[0].seq + 1);
            const page = await this.#request("chat.history", { sessionKey: this.key, limit: PAGE, offset });
            if (generation === this.#generation && (page.sessionId ?? null) === this.sessionId) {
                const before = this.messages[0]?.seq;
                for (const message of page.messages) this.#put(message);
                this.hasMore = Boolean(page.hasMore) && this.messages[0]?.seq < before;
            }
        } catch (error) {
            if (!error.lost) this.emit("failed", error);
        }
        this.loading = false;
        this.#changed();
    }

    #takeNewest(page) {
        this.#belongsTo(page.sessionId ?? null);
        const first = seqOf(page.messages[0]);
        // More came than one page holds: what is older would leave a hole.
        if (first !== undefined && this.messages.length && first > this.newestSeq + 1) this.#forget();
        const had = this.messages.length > 0;
        for (const message of page.messages) this.#put(message);
        if (!had || first === this.messages[0]?.seq) this.hasMore = Boolean(page.hasMore);
        this.total = page.totalMessages ?? this.messages.length;
        if (page.sessionInfo) this.#takeInfo(page.sessionInfo);
    }

    #takeInfo(info) {
        this.info = info;
        const active = info.activeRunIds ?? [];
        for (const [runId, run] of this.runs) if (!active.includes(runId) && !run.local) this.runs.delete(runId);
        for (const runId of active) this.#run(runId);
    }

    // ---- what the gateway tells ----

    onMessage({ message, messageSeq, sessionId, session }) {
        if (sessionId) this.#belongsTo(sessionId);
        if (session) this.info = session;
        const before = this.messages.length;
        this.#settle(this.#put(message, messageSeq));
        this.total += this.messages.length - before;
        this.#changed();
    }

    onChat(payload) {
        const { runId, state } = payload;
        if (state === "delta") this.#run(runId).take(payload);
        else if (state === "status") this.#run(runId).status = payload.phase;
        else this.#ended(payload);
        this.#changed();
    }

    onAgent({ runId, stream, data = {}, ts }) {
        if (stream === "lifecycle" && data.phase === "start") this.#run(runId).startedAt = data.startedAt ?? ts;
        else if (stream === "thinking") this.#run(runId).think(data);
        else if (stream === "tool") this.#run(runId).tool(data, ts);
        else if (stream === "compaction") this.#run(runId).compacting = data.phase === "start";
        else if (stream === "plan") this.#run(runId).plan = data;
        else return;
        this.#changed();
    }

    onRow(row) {
        this.info = row;
        if (row.sessionId) this.#belongsTo(row.sessionId);
        this.#changed();
    }

    #ended(payload) {
        const { runId, state, message } = payload;
        const run = this.runs.get(runId);
        this.runs.delete(runId);
        const stored = this.messages.some((entry) => entry.runId === runId && entry.role === "assistant") || runId.startsWith("inject-");
        const text = textOf(message?.content) || payload.errorMessage;
        if (!stored && text) {
            const asked = this.pending.find((entry) => entry.runId === runId);
            if (asked) this.#note(`asked-${runId}`, "question", asked.text, asked.at);
            this.#note(`notice-${runId}`, state === "error" ? "error" : "answer", text, message?.timestamp ?? Date.now());
        }
        this.pending = this.pending.filter((entry) => entry.runId !== runId || entry.state === "failed");
        this.emit("ended", { runId, state, text: text || run?.text || "", error: payload.errorMessage });
    }

    #note(id, kind, text, at) {
        this.notices.push({ id, kind, text, at, afterSeq: this.newestSeq });
    }

    // ---- what is typed here ----

    addPending({ runId, text, attachments = [], at = Date.now(), state = "sending" }) {
        const entry = { id: `pending-${runId}`, runId, text, attachments, at, state, error: null, afterSeq: this.newestSeq };
        this.pending.push(entry);
        this.#changed();
        return entry;
    }

    removePending(runId) {
        this.pending = this.pending.filter((entry) => entry.runId !== runId);
        this.#changed();
    }

    touch() {
        this.#changed();
    }

    // ---- inside ----

    #run(runId) {
        let run = this.runs.get(runId);
        if (!run) this.runs.set(runId, (run = new Run(runId)));
        return run;
    }

    // A reset gives the key another session: nothing of the old one stays.
    #belongsTo(sessionId) {
        if (sessionId === this.sessionId) return;
        if (this.sessionId !== null) this.#forget();
        this.sessionId = sessionId;
    }

    #forget() {
        this.messages = [];
        this.#bySeq.clear();
        this.notices = [];
        this.hasMore = false;
    }

    #put(message, seq = seqOf(message)) {
        const known = this.#bySeq.get(seq);
        if (known) return known;
        const mark = message.__openclaw ?? {};
        const entry = {
            id: mark.id ?? `seq-${seq}`, seq, role: message.role, message,
            at: mark.recordTimestampMs ?? message.timestamp ?? 0,
            runId: mark.runId ?? null,
            // A message that joined another's run still carries its own key.
            ownRunId: /^(.*):user$/.exec(message.idempotencyKey ?? "")?.[1] ?? mark.runId ?? null,
        };
        this.#bySeq.set(seq, entry);
        let at = this.messages.length;
        while (at > 0 && this.messages[at - 1].seq > seq) at--;
        this.messages.splice(at, 0, entry);
        if (entry.role === "user") this.pending = this.pending.filter((one) => one.runId !== entry.ownRunId);
        return entry;
    }

    // Stored text of a run that goes on is no longer shown as being written.
    #settle(entry) {
        const run = entry.runId && this.runs.get(entry.runId);
        if (run && entry.role === "assistant") run.settle(textOf(entry.message.content));
    }

    #changed() {
        this.emit("change");
    }
}

// An answer on its way. `text` is what is not stored yet.
class Run {
    text = "";
    thinking = "";
    tools = new Map(); // toolCallId → {name, args, phase, result, isError, startedAt, endedAt}
    startedAt = 0;
    status = null;
    compacting = false;
    plan = null;
    ended = false;
    local = false;
    constructor(runId) {
        this.runId = runId;
    }

    get started() {
        return Boolean(this.startedAt || this.text || this.thinking || this.tools.size);
    }

    // A delta says what is new and, mostly, all of this message so far: the latter mends what was missed.
    take({ deltaText = "", replace, message }) {
        this.text = textOf(message?.content) || (replace ? deltaText : this.text + deltaText);
        this.status = null;
    }

    // A message of the run is stored; unless the next one has begun, what was being written is that.
    settle(text) {
        if (!text.startsWith(this.text)) return;
        this.text = "";
        this.thinking = "";
    }

    think({ text, delta = "" }) {
        this.thinking = text ?? this.thinking + delta;
    }

    tool({ phase, toolCallId, name, args, partialResult, result, isError, meta }, ts) {
        const known = this.tools.get(toolCallId) ?? { toolCallId, name, args, phase: "start", startedAt: ts };
        if (phase === "update") known.partial = partialResult;
        if (phase === "result") Object.assign(known, { result, isError, meta, endedAt: ts });
        if (args !== undefined) known.args = args;
        if (name) known.name = name;
        known.phase = phase;
        this.tools.set(toolCallId, known);
    }
}

const seqOf = (message) => message?.__openclaw?.seq;

export function textOf(content) {
    if (typeof content === "string") return content;
    if (!Array.isArray(content)) return "";
    return content.filter((part) => part?.type === "text" && typeof part.text === "string").map((part) => part.text).join("\n");
}
