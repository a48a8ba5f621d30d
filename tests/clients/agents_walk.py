"""What people do with openai-agents, which calls /v1/responses by default. Prints what came of it as JSON.

Run by the Python of an environment that has openai-agents and nothing of this project: OPENAI_BASE_URL and
OPENAI_API_KEY in the environment; arguments: the model, and a text at which the model stops at each of two turns.
"""

import asyncio
import json
import sys

from agents import Agent, ModelSettings, Runner, function_tool, set_tracing_disabled

# Of a name with a slash the first part is a provider to it.
MODEL = f"openai/{sys.argv[1]}"
STOPS = sys.argv[2:4]
set_tracing_disabled(True)


def agent(stop=STOPS[0], **more):
    """An answer that is cut at its limit is an error to it."""
    values = {"name": "Poet", "instructions": "Rhyme.", "model": MODEL}
    settings = ModelSettings(temperature=0, max_tokens=16, extra_body={"stop": [stop]})
    return Agent(**values, model_settings=settings, **more)


async def stream():
    """The text, and the kinds of events that it came in."""
    result = Runner.run_streamed(agent(), "Hi!")
    kinds, text = set(), ""
    async for event in result.stream_events():
        if event.type == "raw_response_event":
            kinds.add(event.data.type)
            text += event.data.delta if event.data.type == "response.output_text.delta" else ""
    return {"text": text, "kinds": sorted(kinds), "output": result.final_output}


async def error_of(**more):
    try:
        return (await Runner.run(agent(**more), "Hi!")).final_output
    except Exception as error:
        return f"{type(error).__name__}: {error}"


@function_tool
def weather(city: str) -> str:
    return "rain"


async def walk():
    first = await Runner.run(agent(), "Hi!")
    again = [*first.to_input_list(), {"role": "user", "content": "And?"}]
    usage = first.context_wrapper.usage
    return {
        "text": first.final_output,
        "usage": [usage.requests, usage.input_tokens],
        "second turn": (await Runner.run(agent(STOPS[1]), again)).final_output,
        "stream": await stream(),
        "tool": await error_of(tools=[weather]),
        "cut": await error_of(stop="a text that never comes"),
    }


print(json.dumps(asyncio.run(walk())))
