// Jobs that run by the clock.
import { h } from "../dom.js";
import { duration } from "../format.js";
import { toast } from "../toast.js";
import { confirm } from "../view/dialogs.js";
import { badge, code, empty, Page, table, time } from "./kit.js";

export class Cron extends Page {
    constructor(app, shell) {
        super(app, shell, {
            title: "Cron",
            lede: "Jobs that run by the clock.",
            events: ["event:cron"],
            read: () => app.connection.request("cron.list", { includeDisabled: true }),
            draw: ({ jobs }) => jobs.length ? table("Cron jobs", [
                ["Job", ({ name, description }) => [h("strong", null, name), description && h("div", { class: "faint" }, description)]],
                ["When", ({ schedule }) => whenOf(schedule)],
                ["Next", ({ enabled, state = {} }) => (enabled ? time(state.nextRunAtMs) : badge("off"))],
                ["Last", ({ state = {} }) => [time(state.lastRunAtMs), " ", state.lastStatus && badge(state.lastStatus, { ok: "good", error: "bad" }[state.lastStatus]), state.lastError && h("div", { class: "bad-text" }, state.lastError)]],
                ["", (job) => this.#buttons(app, job), { kind: "acts" }],
            ], jobs) : empty("cron", "No jobs", "This version runs no jobs yet."),
        });
    }

    #buttons(app, { id, name, enabled }) {
        const ask = async (method, params, said) => {
            await app.connection.request(method, params, { timeoutMs: 120_000 }).then(() => said && toast(said), (error) => toast(error.message, { bad: true }));
            this.load();
        };
        const remove = async () => (await confirm({ title: "Remove this job?", text: `“${name}” will not run any more.`, yes: "Remove", bad: true })) && ask("cron.remove", { id });
        return h("div", { class: "buttons" },
            app.connection.has("cron.run") && h("button", { type: "button", class: "button small", on: { click: () => ask("cron.run", { id, mode: "force" }, `${name} ran.`) } }, "Run now"),
            app.connection.has("cron.update") && h("button", { type: "button", class: "button small", on: { click: () => ask("cron.update", { id, patch: { enabled: !enabled } }) } }, enabled ? "Pause" : "Resume"),
            app.connection.has("cron.remove") && h("button", { type: "button", class: "button small bad", on: { click: remove } }, "Remove"));
    }
}

function whenOf({ kind, at, atMs, everyMs, expr, tz } = {}) {
    if (kind === "at") return ["once, ", time(atMs ?? Date.parse(at), "full")];
    if (kind === "every") return `every ${duration(everyMs)}`;
    return [code(expr ?? "?"), tz && h("span", { class: "faint" }, ` ${tz}`)];
}
