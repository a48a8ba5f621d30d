// What people do with the AI SDK, whose OpenAI provider calls /v1/responses by default. Prints what came of it as JSON.
// Run beside node_modules with `ai` and `@ai-sdk/openai`. Arguments: base URL, token, model.
import { createOpenAI } from '@ai-sdk/openai'
import { generateObject, generateText, jsonSchema, streamText, tool } from 'ai'

const [baseURL, apiKey, name] = process.argv.slice(2)
globalThis.AI_SDK_LOG_WARNINGS = false
const openai = createOpenAI({ baseURL, apiKey })
const asked = {
  model: openai(name),
  system: 'Rhyme.',
  temperature: 0,
  maxOutputTokens: 8,
  maxRetries: 0,
}
const unstored = { providerOptions: { openai: { store: false } } }
const question = { role: 'user', content: 'Hi!' }

async function failure(act) {
  try {
    await act()
    return null
  } catch (error) {
    return { name: error.name, status: error.statusCode, body: JSON.parse(error.responseBody) }
  }
}

const first = await generateText({ ...asked, messages: [question] })
const messages = [question, ...first.response.messages, { role: 'user', content: 'And?' }]
const second = await generateText({ ...asked, ...unstored, messages })
const stream = streamText({ ...asked, messages: [question] })
let text = ''
for await (const piece of stream.textStream) text += piece

const schema = jsonSchema({ type: 'object', properties: {}, additionalProperties: false })
console.log(
  JSON.stringify({
    text: first.text,
    finishReason: first.finishReason,
    usage: [first.usage.inputTokens, first.usage.outputTokens],
    second: second.text,
    stream: { text, finishReason: await stream.finishReason },
    logprobs: (
      await generateText({
        ...asked,
        messages: [question],
        providerOptions: { openai: { logprobs: 2 } },
      })
    ).providerMetadata.openai.logprobs[0].length,
    chat: (await generateText({ ...asked, model: openai.chat(name), messages: [question] })).text,
    reference: await failure(() => generateText({ ...asked, messages })),
    tool: await failure(() =>
      generateText({
        ...asked,
        messages: [question],
        tools: { weather: tool({ inputSchema: schema, execute: () => 'rain' }) },
      }),
    ),
    object: await failure(() => generateObject({ ...asked, schema, messages: [question] })),
    closed: await failure(() => generateText({ ...asked, model: openai('demo/nothing'), messages: [question] })),
    long: await failure(() => generateText({ ...asked, prompt: 'x'.repeat(2000) })),
  }),
)
