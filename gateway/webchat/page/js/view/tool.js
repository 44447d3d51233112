// A tool call: one folded line with what was called and how it went; inside, the arguments and the result as text.
import { h, icon, replace } from "../dom.js";
import { duration } from "../format.js";
import { textOf } from "../conversation.js";
import { copyButton } from "../markdown.js";

const SHOWN_MAX = 20_000; // characters of a result on the page
const HINT_KEYS = ["command", "cmd", "path", "file", "url", "query", "name", "text", "message"];

export class ToolViews {
    #known = new Map(); // toolCallId → {element, state}: open ones stay open while they change

    live(tool) {
        const { toolCallId, name, args, phase, result, partial, isError, startedAt, endedAt } = tool;
        const state = `${phase} ${JSON.stringify(partial ?? null).length}`;
        return this.#element(toolCallId, state, { name, args, result: result ?? partial, status: statusOf(phase, isError), took: endedAt && endedAt - startedAt });
    }

    // call: the transcript's part; result: the toolResult message, when there is one.
    stored(call, result, live) {
        const status = result ? statusOf("result", result.isError) : live ? statusOf(live.phase, live.isError) : "no result";
        const took = live?.endedAt ? live.endedAt - live.startedAt : 0;
        return this.#element(call.id, `stored ${status}`, { name: call.name, args: call.arguments, result: result?.content ?? live?.result, status, took });
    }

    #element(id, state, parts) {
        const known = this.#known.get(id);
        if (known?.state === state) return known.element;
        const element = known?.element ?? h("details", { class: "fold tool" });
        draw(element, parts);
        this.#known.set(id, { element, state });
        return element;
    }
}

const statusOf = (phase, isError) => (phase !== "result" ? phase === "review" ? "asks" : "running" : isError ? "failed" : "done");
const BADGES = { done: "good", failed: "bad", running: "water", asks: "warn", "no result": "" };

function draw(element, { name, args, result, status, took }) {
    element.dataset.status = status;
    const summary = element.querySelector("summary") ?? h("summary");
    replace(summary, icon("chevron"), icon("tool"), h("code", { class: "tool-name" }, name ?? "tool"), h("span", { class: "tool-hint" }, hintOf(args)),
        h("span", { class: `badge ${BADGES[status]}` }, status === "running" && h("span", { class: "dot busy" }), status), took ? h("span", { class: "faint" }, duration(took)) : null);
    replace(element, summary, h("div", { class: "tool-body" },
        args !== undefined && section("Arguments", pretty(args)),
        result !== undefined && section(status === "running" ? "So far" : "Result", plain(result))));
}

function section(label, text) {
    const cut = text.length > SHOWN_MAX;
    return h("div", { class: "tool-part" }, h("div", { class: "tool-label" }, h("span", null, label), copyButton(() => text)),
        h("pre", { tabindex: 0, role: "group", "aria-label": label }, h("code", null, cut ? `${text.slice(0, SHOWN_MAX)}\n… ${text.length - SHOWN_MAX} characters more (Copy has them all)` : text)));
}

function hintOf(args) {
    const value = typeof args === "object" && args ? HINT_KEYS.map((key) => args[key]).find((one) => typeof one === "string" || Array.isArray(one)) : args;
    return value === undefined ? "" : String(Array.isArray(value) ? value.join(" ") : value).replace(/\s+/g, " ").slice(0, 160);
}

const pretty = (value) => (typeof value === "string" ? value : JSON.stringify(value, null, 2) ?? "");

function plain(value) {
    if (typeof value === "string") return value;
    const content = Array.isArray(value) ? value : value?.content;
    return textOf(content) || pretty(value);
}
