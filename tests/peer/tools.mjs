// tools.catalog, tools.effective, tools.invoke and POST /tools/invoke against the published schema of protocol 4;
// the same questions are put to the published gateway with CULVERT_PEER_ORACLE=v4.
import { packages } from "./kit/scenario.mjs";
import { connect } from "./kit/raw.mjs";
import { publishedSchema } from "./kit/protocol.mjs";

export default async function (scenario) {
    const gateway = await scenario.gateway();
    const published = publishedSchema(packages("v4"));
    const peer = await connect(gateway.url, { token: gateway.token, scopes: ["operator.admin", "operator.read", "operator.write"] });
    const call = async (method, params) => {
        const answer = await peer.request(method, params);
        if (answer.ok) {
            const wrong = published.reply(method, answer.payload);
            scenario.ok(wrong !== null && wrong.length === 0, `${method} answers as the published schema has it`, wrong);
        }
        return answer;
    };

    const catalog = await call("tools.catalog", { agentId: "main" });
    const names = catalog.payload.groups.flatMap((group) => group.tools.map((tool) => tool.id));
    for (const name of ["read", "write", "edit", "exec", "web_fetch", "sessions_list", "session_status", "agents_list"]) scenario.ok(names.includes(name), `the catalog has ${name}`, names);
    scenario.ok(!(await call("tools.catalog", { agentId: "zz" })).ok, "an unknown agent has no catalog");

    scenario.ok(!(await call("tools.effective", { sessionKey: "main" })).ok, "a session that is not there has no tools");
    await call("sessions.create", { key: "main" });
    const effective = await call("tools.effective", { sessionKey: "main" });
    const core = effective.payload.groups.find((group) => group.id === "core");
    scenario.ok(core?.tools.some((tool) => tool.id === "session_status"), "what is effective has session_status", effective.payload);

    const invoked = await call("tools.invoke", { name: "agents_list" });
    scenario.ok(invoked.payload.ok && invoked.payload.output.details.agents.length > 0, "a tool runs", invoked.payload);
    for (const name of ["exec", "write", "sessions_send", "no_such_tool"]) {
        const refused = await call("tools.invoke", { name, args: { command: "id" } });
        scenario.ok(refused.payload?.error?.code === "not_found", `${name} is not available to clients`, refused);
    }
    await peer.close();
    await overHttp(scenario, gateway);
}

async function overHttp(scenario, gateway) {
    const post = async (body, headers = { authorization: `Bearer ${gateway.token}` }) => {
        const answer = await fetch(`http://127.0.0.1:${gateway.port}/tools/invoke`, { method: "POST", headers: { "content-type": "application/json", ...headers }, body: typeof body === "string" ? body : JSON.stringify(body) });
        return { status: answer.status, body: await answer.json() };
    };
    const expect = (answer, status, check, text) => scenario.ok(answer.status === status && check(answer.body), text, answer);

    expect(await post({ tool: "sessions_list" }), 200, (b) => b.ok && b.result.content[0].type === "text" && b.result.details.count === b.result.details.sessions.length, "sessions_list over HTTP");
    expect(await post({ name: "agents_list", tool: "nope", action: "json", args: {} }), 200, (b) => b.ok, "name wins over tool");
    expect(await post({ tool: "nope" }), 404, (b) => !b.ok && b.error.type === "not_found" && b.error.message === "Tool not available: nope", "an unknown tool");
    expect(await post({ tool: "exec", args: { command: "id" } }), 404, (b) => b.error.type === "not_found", "exec is not offered");
    expect(await post({}), 400, (b) => b.error.message.startsWith("tools.invoke requires"), "no tool is named");
    expect(await post("x"), 400, (b) => b.error.type === "invalid_request_error", "no JSON");
    expect(await post({ tool: "session_status", agentId: "zz" }), 400, (b) => b.error.message === 'Unknown agent id "zz"', "an unknown agent");
    expect(await post({ tool: "session_status", agentId: "main", sessionKey: "agent:other:main" }), 400, (b) => b.error.message === 'agent "main" does not match session key agent "other"', "agent and session disagree");
    expect(await post({ tool: "sessions_list" }, {}), 401, (b) => b.error.type === "unauthorized", "no credential");
}
