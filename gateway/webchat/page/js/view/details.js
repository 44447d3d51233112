// The session beside its conversation: what it runs on, how full its context is, who is here.
import { h, replace } from "../dom.js";
import { count, short, time } from "../format.js";

export class Details {
    element = h("aside", { class: "details", "aria-label": "Session details", hidden: true });
    #app;
    #conversation;
    #shown = "";
    #offs;

    constructor(app, conversation) {
        this.#app = app;
        this.#conversation = conversation;
        this.#offs = [app.on("presence", () => this.update())];
    }

    close() {
        for (const off of this.#offs) off();
    }

    update() {
        if (this.element.hidden) return;
        const row = this.#app.sessions.find(this.#conversation.key) ?? this.#conversation.info ?? {};
        const people = this.#app.presence.filter(({ mode }) => mode !== "gateway");
        const state = JSON.stringify([row, people, this.#conversation.total]);
        if (state === this.#shown) return;
        this.#shown = state;
        replace(this.element,
            h("section", null, h("h2", null, "Session"), h("dl", { class: "facts" },
                fact("Agent", row.agentId), fact("Model", row.model && `${row.modelProvider}/${row.model}`), fact("Thinking", row.thinkingLevel),
                fact("Messages", this.#conversation.total ? count(this.#conversation.total) : null),
                row.createdAt && fact("Begun", time(row.createdAt, "full")), row.updatedAt && fact("Last word", time(row.updatedAt, "full")))),
            row.totalTokens > 0 && h("section", null, h("h2", null, "Context"), this.#context(row)),
            h("section", null, h("h2", null, "Who is here"), people.length
                ? h("ul", { class: "people" }, people.slice(0, 12).map((one) => h("li", null, h("span", { class: `dot ${one.reason === "disconnect" ? "" : "good"}` }), h("span", null, one.host ?? one.deviceId?.slice(0, 8) ?? "somebody"), h("span", { class: "faint" }, one.mode ?? ""))))
                : h("p", { class: "faint" }, "Nobody else.")));
    }

    #context({ totalTokens, contextTokens, inputTokens, outputTokens }) {
        const share = contextTokens ? Math.min(1, totalTokens / contextTokens) : null;
        return [
            share !== null && h("meter", { min: 0, max: 1, high: 0.8, value: share, "aria-label": "Context used" }),
            h("dl", { class: "facts" },
                fact("Used", contextTokens ? `${short(totalTokens)} of ${short(contextTokens)}` : `${short(totalTokens)} tokens`),
                fact("In", inputTokens && short(inputTokens)), fact("Out", outputTokens && short(outputTokens))),
        ];
    }
}

function fact(name, value) {
    return value === null || value === undefined || value === "" ? null : [h("dt", null, name), h("dd", null, value)];
}
