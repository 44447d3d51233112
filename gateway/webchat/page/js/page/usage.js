// Tokens and money, by day and by session.
import { h } from "../dom.js";
import { count, short } from "../format.js";
import { titleOf } from "../sessions.js";
import { empty, figures, Page, section, table } from "./kit.js";

const DAYS = 30;
const money = new Intl.NumberFormat(undefined, { style: "currency", currency: "USD", maximumFractionDigits: 4 });

export class Usage extends Page {
    constructor(app, shell) {
        const { connection } = app;
        super(app, shell, {
            title: "Usage",
            lede: `The last ${DAYS} days. Costs are known for models whose prices stand in the configuration.`,
            events: ["event:chat"],
            read: async () => {
                const [cost, status] = await Promise.all([connection.request("usage.cost", { days: DAYS }), connection.has("usage.status") ? connection.request("usage.status").catch(() => ({})) : {}]);
                return { ...cost, providers: status.providers ?? [] };
            },
            draw: ({ daily = [], totals = {}, providers }) => [
                figures([["Tokens", short(totals.totalTokens ?? 0)], ["In", short(totals.input ?? 0)], ["Out", short(totals.output ?? 0)], ["From cache", short(totals.cacheRead ?? 0)],
                    ["Cost", money.format(totals.totalCost ?? 0), totals.missingCostEntries > 0 && `${count(totals.missingCostEntries)} answers without a price`]]),
                daily.length ? section("By day", bars(daily), table("Usage by day", [
                    ["Day", ({ date }) => date], ["In", ({ input }) => count(input), { kind: "number" }], ["Out", ({ output }) => count(output), { kind: "number" }],
                    ["Cost", ({ totalCost }) => money.format(totalCost ?? 0), { kind: "number" }],
                ], [...daily].reverse())) : empty("usage", "Nothing used yet", "What answers cost will stand here."),
                providers.length > 0 && section("Providers", h("ul", { class: "lines" }, providers.map(provider))),
                this.#sessions(app),
            ],
        });
    }

    #sessions(app) {
        const rows = app.sessions.rows.filter(({ totalTokens }) => totalTokens > 0).sort((a, b) => b.totalTokens - a.totalTokens).slice(0, 20);
        return rows.length > 0 && section("By session", table("Usage by session", [
            ["Session", (row) => h("a", { href: `#/chat/${encodeURIComponent(row.key)}` }, titleOf(row))],
            ["In", ({ inputTokens = 0 }) => count(inputTokens), { kind: "number" }], ["Out", ({ outputTokens = 0 }) => count(outputTokens), { kind: "number" }],
            ["In context", ({ totalTokens }) => count(totalTokens), { kind: "number" }],
        ], rows));
    }
}

function bars(daily) {
    const most = Math.max(1, ...daily.map(({ totalTokens }) => totalTokens ?? 0));
    return h("div", { class: "bars", "aria-hidden": "true" }, daily.map(({ date, totalTokens = 0 }) => {
        const bar = h("span", { title: `${date}: ${count(totalTokens)} tokens` });
        bar.style.blockSize = `${Math.max(2, (100 * totalTokens) / most)}%`;
        return bar;
    }));
}

function provider({ provider: id, displayName, windows = [], plan, error }) {
    return h("li", null, h("strong", null, displayName ?? id), plan && h("span", { class: "faint" }, plan),
        windows.map(({ label, usedPercent }) => h("span", null, `${label}: ${usedPercent} %`)), error && h("span", { class: "bad-text" }, error));
}
