// The published schema of protocol 4, and what of recorded traffic it has a definition for.
import { createRequire } from "node:module";
import fs from "node:fs";
import path from "node:path";

// Where the definition is not named after the method or event.
const REPLIES = {
    connect: "HelloOk",
    "system-presence": { type: "array", items: { $ref: "#/definitions/PresenceEntry" } },
};
const EVENTS = { "connect.challenge": null };

const pascal = (name) => name.split(/[.\-_]/).map((part) => part[0].toUpperCase() + part.slice(1)).join("");

export function publishedSchema(modules) {
    const require = createRequire(path.join(modules, "x"));
    const Ajv = require("ajv").default ?? require("ajv");
    const schema = JSON.parse(fs.readFileSync(path.join(modules, "@openclaw/gateway-protocol/protocol.schema.json"), "utf8"));
    const ajv = new Ajv({ strict: false, allErrors: true, validateFormats: false });
    ajv.addSchema({ $id: "protocol", definitions: schema.definitions });
    const compiled = new Map();

    const compile = (key, definition) => {
        if (!compiled.has(key)) {
            const text = JSON.stringify(definition).replaceAll('"#/definitions/', '"protocol#/definitions/');
            compiled.set(key, ajv.compile(JSON.parse(text)));
        }
        return compiled.get(key);
    };
    const named = (name) => (schema.definitions[name] ? { $ref: `#/definitions/${name}` } : null);
    const of = (map, name, endings) => {
        const given = map[name];
        if (given === null) return null;
        if (typeof given === "string") return named(given);
        if (given) return given;
        return endings.map((ending) => named(pascal(name) + ending)).find(Boolean) ?? null;
    };
    const check = (key, definition, value) => {
        const validate = compile(key, definition);
        if (validate(value)) return [];
        // The published gateway itself sends keys that its published schema does not know yet, and clients
        // ignore them: an extra key is no fault.
        return validate.errors.filter((e) => e.keyword !== "additionalProperties").map((e) => `${e.instancePath || "/"} ${e.message}`);
    };

    return {
        schema,
        methods: new Set(Object.keys(schema.methods)),
        frame: (frame) => {
            const kind = { req: "RequestFrame", res: "ResponseFrame", event: "EventFrame" }[frame?.type];
            return kind ? check(kind, named(kind), frame) : ["/type is not req, res or event"];
        },
        // null: the schema does not describe it; else the list of what is wrong
        reply: (method, payload) => {
            const definition = of(REPLIES, method, ["Result", "Response"]);
            return definition && check(`reply ${method}`, definition, payload);
        },
        event: (name, payload) => {
            const definition = of(EVENTS, name, ["Event", "Payload"]);
            return definition && check(`event ${name}`, definition, payload);
        },
    };
}

// Every frame the gateway sent on connections that speak protocol 4, checked. Returns what was covered.
export function checkTraffic(scenario, published, frames) {
    const methods = new Map(), four = new Set();
    const covered = { replies: new Set(), events: new Set(), without: new Set() };
    for (const { conn, from, frame } of frames) {
        if (from === "client" && frame?.type === "req") {
            methods.set(`${conn} ${frame.id}`, frame.method);
            if (frame.method === "connect" && frame.params?.maxProtocol >= 4) four.add(conn);
        }
        if (from === "gateway" && four.has(conn)) checkFrame(scenario, published, frame, methods.get(`${conn} ${frame?.id}`), covered);
    }
    return covered;
}

function checkFrame(scenario, published, frame, method, covered) {
    const wrong = published.frame(frame);
    scenario.ok(wrong.length === 0, `a ${frame?.type} frame (${method ?? frame?.event}) fits the published schema`, [wrong, frame]);
    // `agent` answers twice on one id; its first answer is told apart by its status.
    if (frame?.type === "res" && frame.ok && method) {
        note(scenario, `reply of ${method}`, published.reply(method, frame.payload), frame, covered, covered.replies, method);
    } else if (frame?.type === "event") {
        note(scenario, `event ${frame.event}`, published.event(frame.event, frame.payload), frame, covered, covered.events, frame.event);
    }
}

function note(scenario, what, wrong, frame, covered, set, name) {
    if (wrong === null) {
        covered.without.add(name);
        return;
    }
    set.add(name);
    scenario.ok(wrong.length === 0, `${what} fits the published schema`, [wrong.slice(0, 8), frame.payload]);
}
