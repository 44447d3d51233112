// How the gateway is: its own word, the machine it runs on, what it keeps.
import { h } from "../dom.js";
import { bytes, count, duration } from "../format.js";
import { badge, code, facts, figures, Page, section } from "./kit.js";

export class Health extends Page {
    constructor(app, shell) {
        const { connection } = app;
        super(app, shell, {
            title: "Health",
            everyMs: 10_000,
            read: async () => {
                const [health, info, identity] = await Promise.all([
                    connection.request("health", { probe: true }),
                    connection.has("system.info") ? connection.request("system.info").catch(() => null) : null,
                    connection.has("gateway.identity.get") ? connection.request("gateway.identity.get").catch(() => null) : null,
                ]);
                return { health, info, identity };
            },
            draw: ({ health, info, identity }) => {
                const { server = {}, features = {}, policy = {}, auth = {} } = connection.hello;
                return [
                    h("p", { class: "verdict" }, h("span", { class: `dot ${health.ok ? "good" : "bad"}` }), health.ok ? "The gateway is well." : "The gateway has a problem."),
                    figures([["Up", info && duration(info.uptimeMs)], ["Sessions", count(health.sessions?.count ?? 0)], ["Agents", count(health.agents?.length ?? 0)],
                        info && ["Memory free", bytes(info.memoryFreeBytes), `of ${bytes(info.memoryTotalBytes)}`], info?.diskAvailableBytes && ["Disk free", bytes(info.diskAvailableBytes), `of ${bytes(info.diskTotalBytes)}`]]
                        .filter((one) => one && one[1])),
                    section("Gateway", facts([["Version", server.version], ["Host", info?.hostname], ["System", info && `${info.osLabel} ${info.release} (${info.arch})`], ["Port", info?.port], ["Process", info?.pid],
                        ["Load", info?.loadAverage?.join("  ")], ["Device id", identity && code(identity.deviceId.slice(0, 16))]])),
                    ...["store", "eventLoop"].filter((name) => health[name] && typeof health[name] === "object").map((name) => section({ store: "Store", eventLoop: "Event loop" }[name], plain(health[name]))),
                    section("This connection", facts([["Protocol", connection.hello.protocol], ["Rights", (auth.scopes ?? []).map((scope) => badge(scope.replace("operator.", "")))],
                        ["Methods", count(features.methods?.length ?? 0)], ["Events", count(features.events?.length ?? 0)], ["Largest message", policy.maxPayload && bytes(policy.maxPayload)]])),
                ];
            },
        });
    }
}

const words = (name) => name.replace(/([A-Z])/g, " $1").replace(/^./, (letter) => letter.toUpperCase());

function plain(object) {
    return facts(Object.entries(object).map(([name, value]) => [words(name.replace(/Ms$/, "")), valueOf(name, value)]));
}

function valueOf(name, value) {
    if (typeof value === "boolean") return value ? "yes" : "no";
    if (Array.isArray(value)) return value.length ? value.map(String).join(", ") : "none";
    if (typeof value === "object" && value) return code(JSON.stringify(value));
    if (typeof value !== "number") return String(value);
    if (/bytes/i.test(name)) return bytes(value);
    if (/Ms$/.test(name)) return duration(value);
    return Number.isInteger(value) ? count(value) : String(Number(value.toPrecision(3)));
}
