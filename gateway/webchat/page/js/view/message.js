// Messages as they are shown. MessageViews keeps one element per entry; what is stored never changes, so only runs,
// pending messages and tools whose result came are drawn again.
//
// A tool's result is a message of its own in the transcript; here it belongs to the call. Messages of one answer
// follow each other without a head of their own.
import { h, icon, iconButton, replace } from "../dom.js";
import { dayOf, time } from "../format.js";
import { MarkdownView } from "../markdown.js";
import { copyText } from "../clipboard.js";
import { textOf } from "../conversation.js";
import { ToolViews } from "./tool.js";
import { imageOf } from "./attachments.js";

export class MessageViews {
    #actions;
    #known = new Map(); // id → {element, state, day}
    #runs = new Map(); // runId → RunView
    #tools = new ToolViews();

    constructor(actions) {
        this.#actions = actions;
    }

    // [{element, day}] in order; day 0: none of its own.
    list(conversation) {
        const { messages, notices, pending, runs } = conversation;
        const results = resultsOf(messages), shown = [];
        const seen = new Set();
        const show = (id, state, at, make) => {
            seen.add(id);
            let known = this.#known.get(id);
            if (!known || known.state !== state) this.#known.set(id, (known = { element: make(), state, day: at ? dayOf(at) : 0 }));
            shown.push(known);
        };
        let before = null;
        const extras = [...notices];
        for (const entry of messages) {
            while (extras.length && extras[0].afterSeq < entry.seq) this.#notice(extras.shift(), show);
            if (entry.role === "toolResult" && results.called.has(entry.message.toolCallId)) continue;
            const follows = entry.role === "assistant" && before?.role === "assistant" && before.runId !== null && before.runId === entry.runId;
            const last = entry === messages.at(-1) || entry === lastAnswer(messages);
            show(entry.id, this.#stateOf(entry, results, runs, follows, last, conversation), entry.at, () => this.#stored(entry, results, runs, follows, last, conversation));
            before = entry;
        }
        for (const notice of extras) this.#notice(notice, show);
        for (const entry of pending) this.#pending(entry, show);
        this.#running(conversation, before, shown);
        for (const id of this.#known.keys()) if (!seen.has(id)) this.#known.delete(id);
        return shown;
    }

    // ---- stored ----

    // What of a stored message may still change: results of its tools, a waiting question, its actions.
    #stateOf(entry, results, runs, follows, last, conversation) {
        const calls = partsOf(entry, "toolCall").map(({ id }) => results.byCall.has(id) ? "r" : liveTool(runs, entry.runId, id)?.phase ?? "-").join("");
        return `${follows} ${last && !conversation.busy} ${calls} ${entry.role === "user" && isQueued(entry, conversation)}`;
    }

    #stored(entry, results, runs, follows, last, conversation) {
        if (entry.role === "user") return this.#user(entry, conversation);
        if (entry.role !== "assistant") return this.#other(entry, results);
        const { message } = entry;
        const body = h("div", { class: "body" });
        const parts = Array.isArray(message.content) ? message.content : [{ type: "text", text: String(message.content ?? "") }];
        for (const part of parts) {
            if (part.type === "thinking" && part.thinking) body.append(thought(part.thinking));
            else if (part.type === "text" && part.text) body.append(new MarkdownView(part.text).element);
            else if (part.type === "toolCall") body.append(this.#tools.stored(part, results.byCall.get(part.id), liveTool(runs, entry.runId, part.id)));
            else if (part.type === "image") body.append(imageOf(part));
        }
        const end = endOf(message);
        if (end === "stopped") body.append(h("p", { class: "ended" }, icon("stop"), STOPS[message.openclawAbort?.origin] ?? "Stopped"));
        else if (end === "failed") body.append(this.#failure(message.errorMessage, entry));
        const text = textOf(message.content);
        const whole = !parts.some(({ type }) => type === "toolCall");
        return this.#frame("assistant", follows, entry.at, body, whole && [
            text && iconButton("copy", "Copy answer", (event) => copyText(text, event.currentTarget), { small: true }),
            last && !conversation.busy && iconButton("retry", "Ask again", () => this.#actions.retry(entry), { small: true }),
            h("span", { class: "meta" }, [message.provider && message.model && `${message.provider}/${message.model}`, message.usage?.totalTokens > 0 && `${message.usage.totalTokens} tokens`].filter(Boolean).join(" · ")),
        ]);
    }

    #user(entry, conversation) {
        const { content } = entry.message;
        const text = textOf(content);
        const queued = isQueued(entry, conversation);
        return this.#frame("user", false, entry.at, h("div", { class: "body bubble" },
            text && h("p", { class: "plain" }, text),
            partsOf(entry, "image").map((part) => imageOf(part)),
            queued && h("p", { class: "state" }, h("span", { class: "badge" }, "waits its turn"),
                h("button", { type: "button", class: "button plain small", on: { click: () => this.#actions.cancel(entry.ownRunId) } }, "Cancel"))), [
            text && iconButton("copy", "Copy message", (event) => copyText(text, event.currentTarget), { small: true }),
            text && iconButton("edit", "Edit and send again", () => this.#actions.edit(text), { small: true }),
        ]);
    }

    #other({ role, message, at }, _results) {
        const text = textOf(message.content);
        const tool = role === "toolResult";
        return this.#frame(tool ? "assistant" : "system", true, at, h("div", { class: "body" }, tool
            ? this.#tools.stored({ id: message.toolCallId, name: message.toolName ?? "tool", arguments: undefined }, message)
            : new MarkdownView(text).element));
    }

    #failure(text, entry) {
        return h("div", { class: "note bad" }, icon("warn"), h("div", null, h("p", null, text ?? "The answer was cut off: the gateway stopped meanwhile.")),
            h("button", { type: "button", class: "button small", on: { click: () => this.#actions.retry(entry) } }, "Try again"));
    }

    #notice(notice, show) {
        if (notice.kind === "question") {
            show(notice.id, "", notice.at, () => this.#frame("user", false, notice.at, h("div", { class: "body bubble" }, h("p", { class: "plain" }, notice.text))));
            return;
        }
        show(notice.id, "", notice.at, () => this.#frame("assistant", false, notice.at, h("div", { class: "body" }, notice.kind === "error"
            ? this.#failure(notice.text, notice) : new MarkdownView(notice.text).element),
        notice.kind !== "error" && [iconButton("copy", "Copy answer", (event) => copyText(notice.text, event.currentTarget), { small: true })]));
    }

    // ---- typed here, not stored yet ----

    #pending(entry, show) {
        const { state, error, text, attachments } = entry;
        show(entry.id, `${state} ${error?.message ?? ""}`, entry.at, () => this.#frame(`user pending ${state}`, false, entry.at, h("div", { class: "body bubble" },
            text && h("p", { class: "plain" }, text),
            attachments.map(({ content, mimeType, fileName }) => imageOf({ data: content, mimeType, fileName })),
            state === "failed"
                ? h("div", { class: "state failed", role: "alert" }, h("p", null, `Not sent: ${error?.message ?? "unknown reason"}`),
                    h("div", { class: "buttons" },
                        h("button", { type: "button", class: "button small", on: { click: () => this.#actions.resend(entry) } }, "Send again"),
                        h("button", { type: "button", class: "button small plain", on: { click: () => this.#actions.drop(entry) } }, "Edit")))
                : state === "waiting" && h("p", { class: "state" }, h("span", { class: "badge warn" }, "is sent when the gateway is back")))));
    }

    // ---- being answered ----

    #running(conversation, before, shown) {
        for (const [runId, run] of conversation.runs) {
            if (!this.#runs.has(runId)) this.#runs.set(runId, new RunView(this.#tools, this.#actions.agentName));
            const view = this.#runs.get(runId);
            const stored = new Set(conversation.messages.filter((entry) => entry.runId === runId).flatMap((entry) => partsOf(entry, "toolCall").map(({ id }) => id)));
            const waits = !run.started && isWaiting(runId, conversation);
            if (!waits) {
                view.update(run, stored, before?.role === "assistant" && before.runId === runId);
                shown.push({ element: view.element, day: 0 });
            }
        }
        for (const runId of this.#runs.keys()) if (!conversation.runs.has(runId)) this.#runs.delete(runId);
    }

    #frame(kind, follows, at, body, tools) {
        const assistant = kind === "assistant";
        return h("article", { class: `message ${kind}${follows ? " follows" : ""}`, "aria-label": assistant ? this.#actions.agentName() : kind.startsWith("user") ? "You" : "Note" },
            !follows && h("header", null, assistant && h("span", { class: "who" }, this.#actions.agentName()), at ? time(at, "clock") : null),
            body,
            tools && h("footer", null, tools));
    }
}

// The answer that is being written: thinking, tools, text, in this order as they come.
class RunView {
    #tools;
    #text = new MarkdownView();
    #thinking = thought("");
    #calls = h("div", { class: "calls" });
    #wait = h("p", { class: "writing" }, h("span", { class: "drops", "aria-hidden": "true" }, h("i"), h("i"), h("i")), h("span", { class: "writing-word" }));
    #header;

    constructor(tools, agentName) {
        this.#tools = tools;
        this.#header = h("header", null, h("span", { class: "who" }, agentName()));
        this.#thinking.hidden = true;
        this.element = h("article", { class: "message assistant live", "aria-label": agentName() }, this.#header,
            h("div", { class: "body" }, this.#thinking, this.#calls, this.#text.element, this.#wait));
    }

    update(run, storedCalls, follows) {
        this.element.classList.toggle("follows", follows);
        this.#header.hidden = follows;
        this.#thinking.hidden = !run.thinking;
        if (run.thinking) {
            const body = this.#thinking.querySelector(".thought");
            if (body.textContent !== run.thinking) body.textContent = run.thinking;
        }
        const open = [...run.tools.values()].filter(({ toolCallId }) => !storedCalls.has(toolCallId));
        replace(this.#calls, open.map((tool) => this.#tools.live(tool)));
        this.#text.update(run.text);
        this.#wait.querySelector(".writing-word").textContent = wordFor(run);
        this.#wait.classList.toggle("quiet", Boolean(run.text));
    }
}

const PHASES = { preparing_context: "reading the context", starting_model: "waiting for the model", preparing_workspace: "preparing the workspace" };

function wordFor(run) {
    if (run.compacting) return "making room in the context";
    if (run.status) return PHASES[run.status] ?? run.status.replaceAll("_", " ");
    if ([...run.tools.values()].some(({ phase }) => phase !== "result")) return "working";
    if (run.text) return "writing";
    return run.thinking ? "thinking" : "answering";
}

function thought(text) {
    return h("details", { class: "fold" }, h("summary", null, icon("chevron"), icon("think"), h("span", null, "Thinking")), h("div", { class: "thought" }, text));
}

// ---- small questions ----

const STOPS = { timeout: "Stopped: it took longer than a turn may", stop: "Stopped", rpc: "Stopped" };

// How a stored answer ended, when not well. One that the gateway's own end cut off may be asked for again.
function endOf({ stopReason, errorMessage, openclawAbort }) {
    if (stopReason === "error" || errorMessage || openclawAbort?.origin === "interrupted") return "failed";
    return openclawAbort || stopReason === "aborted" ? "stopped" : null;
}

const partsOf = (entry, type) => (Array.isArray(entry.message.content) ? entry.message.content.filter((part) => part?.type === type) : []);
const lastAnswer = (messages) => messages.findLast(({ role }) => role === "assistant");
const liveTool = (runs, runId, id) => runs.get(runId)?.tools.get(id);

function resultsOf(messages) {
    const byCall = new Map(), called = new Set();
    for (const entry of messages) {
        if (entry.role === "toolResult") byCall.set(entry.message.toolCallId, entry.message);
        for (const { id } of partsOf(entry, "toolCall")) called.add(id);
    }
    return { byCall, called };
}

// Its turn has not come: something else is being answered first.
function isWaiting(runId, conversation) {
    for (const [other, run] of conversation.runs) if (other !== runId && run.started) return true;
    const first = conversation.runs.keys().next().value;
    return first !== undefined && first !== runId;
}

function isQueued(entry, conversation) {
    const run = conversation.runs.get(entry.ownRunId);
    return Boolean(run && !run.started && isWaiting(entry.ownRunId, conversation));
}
