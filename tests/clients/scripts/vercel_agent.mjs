// An agent on the Vercel AI SDK: node vercel_agent.mjs SDK_FOLDER PROVIDER MODEL generate|stream PROMPT
// The base URLs come from the environment where the SDK reads one, and from BASE_URL where it does not.
import { appendFileSync, readFileSync } from "node:fs";
import { createRequire } from "node:module";

const [folder, provider, model, how, prompt] = process.argv.slice(2);
const installed = createRequire(`${folder}/package.json`);
const load = (name) => import(installed.resolve(name));
const { generateText, jsonSchema, stepCountIs, streamText, tool } = await load("ai");

const providers = {
  anthropic: async () => (await load("@ai-sdk/anthropic")).anthropic(model),
  openai: async () => (await load("@ai-sdk/openai")).openai(model),
  chat: async () => (await load("@ai-sdk/openai")).openai.chat(model),
  compatible: async () => {
    const { createOpenAICompatible } = await load("@ai-sdk/openai-compatible");
    return createOpenAICompatible({ name: "any", baseURL: `${process.env.BASE_URL}/v1`, includeUsage: true })(model);
  },
  google: async () => {
    const { createGoogleGenerativeAI } = await load("@ai-sdk/google");
    return createGoogleGenerativeAI({ baseURL: `${process.env.BASE_URL}/v1beta` })(model);
  },
};
const name = jsonSchema({ type: "object", properties: { name: { type: "string" } }, required: ["name"] });
const tools = {
  read_note: tool({ description: "Reads a note.", inputSchema: name, execute: ({ name }) => readFileSync(name, "utf8") }),
  make_note: tool({
    description: "Makes a note.",
    inputSchema: name,
    execute: ({ name }) => {
      appendFileSync(name, "made\n");
      return { name, is_made: true };
    },
  }),
};
const request = { model: await providers[provider](), prompt, tools, stopWhen: stepCountIs(5) };
console.log(await (how === "stream" ? streamText(request).text : generateText(request).then((result) => result.text)));
