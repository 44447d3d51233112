// openclaw 2026.4.29 (protocol 3): the commands people type.
import { agentAnswers, configured, deviceless } from "./kit/commands.mjs";

export default async function (scenario) {
    const gateway = await scenario.gateway();
    await deviceless(scenario, "v3", gateway, gateway);
    const home = await configured(scenario, "v3", gateway);
    if (!gateway.oracle) await agentAnswers(scenario, "v3", home, gateway, "eleven green bottles");
}
