// A model server whose every step a test decides: what a request is answered with, piece by piece.
//   const asked = model.next("Hello");      the next request of a conversation in which a person says so
//   await asked.request                     its body, once it is there
//   asked.text("…"), asked.think("…"), asked.call("exec", {…}), asked.end(), asked.fail(500, "…")
// A request nobody planned for is answered at once with model.otherwise.
import http from "node:http";

const chunk = (delta, finish = null) => `data: ${JSON.stringify({
    id: "c", object: "chat.completion.chunk", created: 0, model: "paced", choices: [{ index: 0, delta, finish_reason: finish }],
})}\n\n`;

export async function startModel(scenario) {
    const plans = [];
    const model = { requests: [], otherwise: "Done.", next };
    const server = http.createServer((request, response) => {
        let body = "";
        request.on("data", (bytes) => (body += bytes));
        request.on("end", () => {
            if (!request.url.endsWith("/chat/completions")) return response.writeHead(404).end();
            const asked = JSON.parse(body);
            model.requests.push(asked);
            const said = JSON.stringify(asked.messages.filter(({ role }) => role === "user"));
            const plan = plans.find((one) => said.includes(one.said)) ?? next("").text(model.otherwise).end();
            plans.splice(plans.indexOf(plan), 1);
            return plan.meet(asked, response);
        });
    });

    function next(said) {
        const waiting = [];
        let response = null, calls = 0, met;
        const say = (step) => (response ? step() : waiting.push(step), plan);
        const plan = {
            said,
            request: new Promise((done) => (met = done)),
            closed: false,
            text: (text) => say(() => response.write(chunk({ content: text }))),
            think: (text) => say(() => response.write(chunk({ reasoning_content: text }))),
            call: (name, args, id = `call_${Date.now()}_${calls}`) => say(() => response.write(chunk({
                tool_calls: [{ index: calls++, id, type: "function", function: { name, arguments: JSON.stringify(args) } }],
            }))),
            end: (usage = { prompt_tokens: 12, completion_tokens: 34, total_tokens: 46 }) => say(() => {
                response.write(chunk({}, calls ? "tool_calls" : "stop"));
                response.write(`data: ${JSON.stringify({ id: "c", object: "chat.completion.chunk", created: 0, model: "paced", choices: [], usage })}\n\n`);
                response.end("data: [DONE]\n\n");
            }),
            fail: (status, message) => say(() => response.headersSent ? response.destroy()
                : response.writeHead(status, { "Content-Type": "application/json" }).end(JSON.stringify({ error: { message, type: "invalid_request_error" } }))),
            meet(asked, to) {
                const headers = () => to.headersSent || to.writeHead(200, { "Content-Type": "text/event-stream", "Cache-Control": "no-cache" });
                response = new Proxy(to, { get: (target, name) => name === "write" ? (text) => (headers(), target.write(text)) : typeof target[name] === "function" ? target[name].bind(target) : target[name] });
                to.on("close", () => (plan.closed = true));
                met(asked);
                for (const step of waiting.splice(0)) step();
            },
        };
        plans.push(plan);
        return plan;
    }

    await new Promise((done) => server.listen(0, "127.0.0.1", done));
    scenario.atEnd(() => (server.closeAllConnections(), new Promise((done) => server.close(done))));
    model.config = {
        agents: { defaults: { model: { primary: "paced/paced-1" } } },
        models: { providers: { paced: { baseUrl: `http://127.0.0.1:${server.address().port}/v1`, apiKey: "sk-paced", api: "openai-completions",
            models: [{ id: "paced-1", name: "Paced", contextWindow: 32_000, reasoning: true, input: ["text", "image"] }, { id: "paced-2", name: "Paced Mini", contextWindow: 8000 }] } } },
    };
    return model;
}
