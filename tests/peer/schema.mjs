// The schema we print (GET /schema.json) and the decoder behind it accept the same parameters: for every
// method, generated good and bad inputs are put to ajv and to the gateway, and the two must agree.
import { createRequire } from "node:module";
import path from "node:path";
import { Skip, packages, shorten } from "./kit/scenario.mjs";
import { connect, newDevice } from "./kit/raw.mjs";
import { variants } from "./kit/generate.mjs";

// Not called, because a good call would end the test itself.
const NOT_CALLED = { connect: "only the first request", "gateway.restart.request": "stops the gateway", "update.run": "stops the gateway" };
// Either of two parameters is wanted, which rows cannot say.
const ONE_OF = { "device.pair.rename": /'label'/ };
const AT_ONCE = 32;
const ADMIN = ["admin", "read", "write", "approvals", "pairing", "questions", "talk", "talk.secrets"].map((s) => `operator.${s}`);

export default async function (scenario) {
    const gateway = await scenario.gateway();
    if (gateway.oracle) throw new Skip("the published gateway prints no schema of its methods");
    const Ajv = createRequire(path.join(packages("v4"), "x"))("ajv/dist/2020").default;
    const ajv = new Ajv({ strict: false, validateFormats: false });
    const printed = await fetch(`http://127.0.0.1:${gateway.port}/schema.json`).then((r) => r.json());
    const peers = {
        operator: () => connect(gateway.url, { token: gateway.token, scopes: ADMIN }),
        node: () => connect(gateway.url, { token: gateway.token, device: newDevice(), role: "node", scopes: [], id: "node-host", mode: "node" }),
    };
    const methods = Object.entries(printed.methods).filter(([name]) => !NOT_CALLED[name]);
    scenario.ok(methods.length > 10, "the schema lists the methods", Object.keys(printed.methods));

    const open = {};
    const tally = { good: 0, bad: 0 };
    for (const [name, row] of methods) {
        ajv.compile(row.reply);
        const role = row.roles[0];
        if (!open[role] || open[role].socket.readyState !== 1) open[role] = await peers[role]();
        if (!scenario.ok(open[role].hello, `a ${role} connects`, open[role].error)) break;
        await compare(scenario, open[role], name, row.params, ajv.compile(row.params), tally);
    }
    scenario.say(`${methods.length} methods, ${tally.good} good and ${tally.bad} bad inputs`);
    scenario.ok(tally.good > methods.length && tally.bad > methods.length, "both good and bad inputs were tried", tally);
    for (const peer of Object.values(open)) await peer.close();
}

async function compare(scenario, peer, name, schema, validate, tally) {
    const inputs = [...variants(schema)];
    let wrong = 0;
    while (inputs.length && wrong < 3) {
        const batch = inputs.splice(0, AT_ONCE);
        const answers = await Promise.all(batch.map((params) => peer.request(name, params).catch((error) => ({ lost: error.message }))));
        const lost = answers.findIndex((answer) => answer.lost);
        if (lost >= 0) throw new Error(`${name}: the connection was lost (${answers[lost].lost}) on one of ${shorten(batch)}`);
        for (const [at, answer] of answers.entries()) {
            if (answer.error?.details?.limit) return; // control-plane writes are limited: enough of this method
            const fits = validate(batch[at] ?? {});
            // The decoder says where ("at /limit: …") or what is missing; a handler that refuses a name it does
            // not know uses the same prefix with other words.
            const refused = !ONE_OF[name]?.test(answer.error?.message) && /^invalid (.* params: (at |must )|request frame)/.test(answer.error?.message ?? "");
            tally[fits ? "good" : "bad"]++;
            const agreed = fits !== refused;
            if (!agreed) wrong++;
            if (!agreed || at === 0) scenario.ok(agreed, `${name}: the schema ${fits ? "accepts" : "refuses"} and the decoder ${refused ? "refuses" : "accepts"}`, [batch[at], answer.error, validate.errors?.[0]]);
        }
    }
}
