// The commands people type, run by a published `openclaw` of one version against a gateway.
import { jsonOf, packages, shorten } from "./scenario.mjs";
import { checkTraffic, publishedSchema } from "./protocol.mjs";
import { connect, newDevice } from "./raw.mjs";

// A command that must leave with status 0; more checks on what it printed. When the gateway asks for an
// approval first, the operator gives it (`gateway` given) and the command is typed again, as a person would.
export async function command(scenario, version, home, args, { gateway, expect, limitMs } = {}) {
    const shown = hide(args).join(" ");
    let seen = await scenario.cli(version, home, args, { limitMs });
    const requestId = seen.status !== 0 && gateway && /requestId: ([\w.:-]+)/.exec(seen.out + seen.err)?.[1];
    if (requestId) {
        await approve(scenario, gateway, requestId, shown);
        seen = await scenario.cli(version, home, args, { limitMs });
    }
    scenario.say(`${version} openclaw ${shown}: status ${seen.status} in ${(seen.ms / 1000).toFixed(1)} s`);
    const good = scenario.ok(seen.status === 0, `${version} openclaw ${shown} leaves with status 0`, `${seen.status}\n${seen.out}\n${seen.err}`);
    if (good && expect) {
        const value = args.includes("--json") ? jsonOf(seen.out) : seen.out;
        scenario.ok(expect(value, seen), `${version} openclaw ${shown} prints what it should`, `${shorten(seen.out)}\n${shorten(seen.err)}`);
    }
    return seen;
}

async function approve(scenario, gateway, requestId, shown) {
    const device = gateway.oracle ? newDevice() : undefined; // protocol 3 of the published gateway asks for one
    const operator = await connect(gateway.url, { token: gateway.token, device, scopes: ["operator.admin", "operator.pairing"] });
    const answer = await operator.request("device.pair.approve", { requestId });
    scenario.say(`approved for: openclaw ${shown}`);
    scenario.ok(answer.ok, "device.pair.approve answers ok", answer);
    await operator.close();
}

function hide(args) {
    return args.map((argument, at) => (args[at - 1] === "--token" ? "…" : argument));
}

// Without a device: one connection per command, by the shared token.
export async function deviceless(scenario, version, at, gateway) {
    const home = scenario.home(`${version}-deviceless`);
    const to = ["--url", at.url, "--token", at.token];
    const four = version === "v4";
    await command(scenario, version, home, ["gateway", "call", "health", ...to, "--json"], { gateway, expect: (v) => v?.ok === true });
    await command(scenario, version, home, ["gateway", "call", "sessions.list", ...to, "--json", "--params", '{"limit":5}'], {
        gateway,
        expect: (v) => Array.isArray(v?.sessions),
    });
    await command(scenario, version, home, ["gateway", "probe", ...to, "--json", "--timeout", "15000"], {
        gateway,
        expect: (v) => v?.ok === true && (!four || v.targets?.some((t) => t.connect?.ok)),
    });
    await command(scenario, version, home, ["devices", "list", ...to, "--json"], {
        gateway,
        expect: (v) => Array.isArray(v?.pending) && Array.isArray(v?.paired),
    });
    await command(scenario, version, home, ["logs", ...to, "--plain", "--limit", "5"], { gateway });
}

// With a home of its own that names the gateway: the client makes a device and pairs.
export async function configured(scenario, version, gateway) {
    const home = scenario.home(`${version}-configured`, gateway);
    await command(scenario, version, home, ["health", "--json"], { gateway, expect: (v) => v?.ok === true });
    await command(scenario, version, home, ["status", "--json"], { gateway, expect: (v) => v?.gateway?.reachable === true });
    await command(scenario, version, home, ["models", "list", "--json"], { gateway, expect: (v) => Array.isArray(v?.models) });
    await command(scenario, version, home, ["devices", "list", "--json"], {
        gateway,
        expect: (v) => Array.isArray(v?.pending) && Array.isArray(v?.paired),
    });
    return home;
}

export async function agentAnswers(scenario, version, home, gateway, text) {
    await command(scenario, version, home, ["agent", "--agent", "main", "-m", text, "--json"], {
        gateway,
        limitMs: 90_000,
        expect: (v) => JSON.stringify(v ?? "").includes(text),
    });
}

export function checkTap(scenario, tap) {
    const covered = checkTraffic(scenario, publishedSchema(packages("v4")), tap.frames);
    scenario.say(`checked against the published schema: ${[...covered.replies, ...covered.events].join(" ")}`);
    scenario.say(`not described by it: ${[...covered.without].join(" ") || "none"}`);
    return covered;
}
