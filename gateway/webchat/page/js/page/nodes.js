// Machines that lend the agents their hands, and what they wait to be allowed.
import { h } from "../dom.js";
import { toast } from "../toast.js";
import { askText } from "../view/dialogs.js";
import { badge, chips, code, empty, facts, Page, section, time } from "./kit.js";

export class Nodes extends Page {
    constructor(app, shell) {
        const { connection } = app;
        super(app, shell, {
            title: "Nodes",
            lede: "Other machines that run commands for the agents.",
            events: ["event:node.pair.requested", "event:node.pair.resolved", "event:node.presence", "presence"],
            read: async () => {
                const [{ nodes }, pairs] = await Promise.all([
                    connection.request("node.list"),
                    connection.has("node.pair.list") && connection.may("pairing") ? connection.request("node.pair.list").catch(() => ({})) : {},
                ]);
                return { nodes, pending: pairs.pending ?? [] };
            },
            draw: ({ nodes, pending }) => [
                pending.length > 0 && section("Waiting for approval", pending.map((request) => this.#request(app, request))),
                nodes.length ? h("div", { class: "cards" }, nodes.map((node) => this.#node(app, node)))
                    : empty("nodes", "No nodes", "This version takes no nodes yet."),
            ],
        });
    }

    #request(app, { requestId, nodeId, displayName, platform, commands = [], ts }) {
        const decide = (method) => async () => {
            await app.connection.request(method, { requestId }).catch((error) => toast(error.message, { bad: true }));
            this.load();
        };
        return h("article", { class: "request" }, h("div", { class: "request-text" }, h("h3", null, displayName ?? nodeId),
            h("p", { class: "hint" }, [platform, commands.length && `wants ${commands.join(", ")}`].filter(Boolean).join(" · "), " ", time(ts))),
        h("div", { class: "buttons" },
            app.connection.has("node.pair.approve") && h("button", { type: "button", class: "button main", on: { click: decide("node.pair.approve") } }, "Approve"),
            app.connection.has("node.pair.reject") && h("button", { type: "button", class: "button bad", on: { click: decide("node.pair.reject") } }, "Reject")));
    }

    #node(app, node) {
        const rename = async () => {
            const displayName = await askText({ title: "Rename node", label: "Name", value: node.displayName ?? "", yes: "Rename", required: true });
            if (displayName) await app.connection.request("node.rename", { nodeId: node.nodeId, displayName }).then(() => this.load(), (error) => toast(error.message, { bad: true }));
        };
        return h("article", { class: "card" }, h("header", null, h("span", { class: `dot ${node.connected ? "good" : ""}` }), h("h2", null, node.displayName ?? node.nodeId),
            badge(node.connected ? "connected" : "away", node.connected ? "good" : "")),
        facts([["Id", code(node.nodeId.slice(0, 16))], ["Platform", node.platform], ["Version", node.version], ["Address", node.remoteIp], ["Since", node.connectedAtMs && time(node.connectedAtMs, "full")]]),
        node.commands?.length > 0 && chips(node.commands),
        app.connection.has("node.rename") && h("div", { class: "buttons" }, h("button", { type: "button", class: "button small", on: { click: rename } }, "Rename")));
    }
}
