// Chat providers and how they are.
import { h } from "../dom.js";
import { badge, empty, facts, Page, time } from "./kit.js";

export class Channels extends Page {
    constructor(app, shell) {
        super(app, shell, {
            title: "Channels",
            lede: "Where people reach the agents besides this page.",
            events: ["health", "event:channels.changed"],
            everyMs: 15_000,
            read: () => app.connection.request("channels.status"),
            draw: ({ channelOrder = [], channelLabels = {}, channelAccounts = {}, channels = {} }) => channelOrder.length
                ? h("div", { class: "cards" }, channelOrder.map((id) => card(id, channelLabels[id] ?? id, channelAccounts[id] ?? [], channels[id])))
                : empty("channels", "No channels", "This version reaches people by this page and by clients; it has no channels yet."),
        });
    }
}

function card(id, label, accounts, summary = {}) {
    const list = accounts.length ? accounts : [{ accountId: "default", ...summary }];
    return h("article", { class: "card" }, h("header", null, h("h2", null, label), h("span", { class: "faint" }, id)), list.map((account) => h("div", { class: "account" },
        h("h3", null, account.name ?? account.accountId, " ", state(account)),
        facts([["Last heard", account.lastInboundAt && time(account.lastInboundAt)], ["Last said", account.lastOutboundAt && time(account.lastOutboundAt)],
            ["Connected", account.lastConnectedAt && time(account.lastConnectedAt)], ["Trouble", account.lastError && h("span", { class: "bad-text" }, account.lastError)]]))));
}

function state({ enabled, configured, linked, running, connected, lastError }) {
    if (enabled === false) return badge("off");
    if (configured === false) return badge("not set up", "warn");
    if (linked === false) return badge("not linked", "warn");
    if (connected) return badge("connected", "good");
    if (lastError) return badge("trouble", "bad");
    return running ? badge("running", "water") : badge("stopped");
}
