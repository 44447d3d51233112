// Who answers, with which model.
import { h, icon } from "../dom.js";
import { badge, code, empty, facts, Page } from "./kit.js";

export class Agents extends Page {
    constructor(app, shell) {
        super(app, shell, {
            title: "Agents",
            lede: "Who answers. Agents and their models are set in the configuration (agents.list, agents.defaults).",
            events: ["event:config.changed"],
            read: async () => {
                const [list, models] = await Promise.all([app.connection.request("agents.list"), app.connection.has("models.list") ? app.connection.request("models.list") : { models: [] }]);
                return { ...list, models: models.models };
            },
            draw: ({ agents, defaultId, models }) => [
                agents.length ? h("div", { class: "cards" }, agents.map((agent) => card(agent, defaultId, app, shell))) : empty("agents", "No agents", "Without any in the configuration there is one, main."),
                h("section", { class: "part" }, h("h2", null, "Models"), models.length ? h("ul", { class: "lines" }, models.map(model)) : h("p", { class: "faint" }, "No model is configured.")),
            ],
        });
    }
}

function card(agent, defaultId, app, shell) {
    const { id, name, identity, model: uses, agentRuntime, workspace } = agent;
    const start = async () => {
        const { key } = await app.connection.request("sessions.create", { agentId: id });
        shell.open(key);
    };
    return h("article", { class: "card" },
        h("header", null, h("span", { class: "face", "aria-hidden": "true" }, identity?.emoji ?? (identity?.name ?? name ?? id).slice(0, 1).toUpperCase()),
            h("h2", null, identity?.name ?? name ?? id), id === defaultId && badge("default", "water")),
        facts([["Id", code(id)], ["Model", uses?.primary && code(uses.primary)], ["Kind", agentRuntime?.id], ["Workspace", workspace && code(workspace)]]),
        app.connection.has("sessions.create") && h("div", { class: "buttons" }, h("button", { type: "button", class: "button small", on: { click: start } }, icon("plus"), "New chat")));
}

function model({ id, name, provider, available, unavailableReason, contextWindow, reasoning, input = [] }) {
    return h("li", null, h("span", { class: `dot ${available === false ? "bad" : "good"}` }), h("strong", null, name ?? id), code(`${provider}/${id}`),
        contextWindow && badge(`${Math.round(contextWindow / 1000)}k context`), reasoning && badge("thinks"), input.includes("image") && badge("sees"),
        available === false && h("span", { class: "faint" }, unavailableReason ?? "not available"));
}
