// openclaw 2026.4.29 (protocol 3): the commands people type.
import { agentAnswers, configured, deviceless } from "./kit/commands.mjs";

export default async function (scenario) {
    const gateway = await scenario.gateway();
    await deviceless(scenario, "v3", gateway);
    const home = await configured(scenario, "v3", gateway);
    await agentAnswers(scenario, "v3", home, "eleven green bottles");
}
