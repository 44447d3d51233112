// Who is connected, or was a moment ago.
import { h } from "../dom.js";
import { badge, empty, Page, table, time } from "./kit.js";

export class Presence extends Page {
    constructor(app, shell) {
        super(app, shell, {
            title: "Presence",
            lede: "Who is connected to this gateway, or was within the last minutes.",
            events: ["presence"],
            everyMs: 30_000,
            read: () => app.connection.request("system-presence"),
            draw: (list) => list.length ? table("Presence", [
                ["Who", ({ host, text, deviceId, instanceId }) => [h("strong", null, host ?? text ?? "somebody"), instanceId && instanceId === deviceId ? null : null]],
                ["As", ({ mode, roles = [] }) => [badge(mode ?? "?", mode === "gateway" ? "water" : ""), roles.includes("node") && badge("node")]],
                ["Platform", ({ platform, version, deviceFamily }) => [deviceFamily ?? platform, version].filter(Boolean).join(" · ") || "–"],
                ["Address", ({ ip }) => ip ?? "this host"],
                ["State", ({ reason }) => badge(REASONS[reason] ?? reason ?? "here", reason === "disconnect" ? "" : "good")],
                ["Last sign", ({ ts }) => time(ts)],
            ], list) : empty("presence", "Nobody", "Not even the gateway itself has said that it is here."),
        });
    }
}

const REASONS = { connect: "connected", disconnect: "left", self: "this gateway" };
