// Walks the site with the types that openapi-typescript made of its document, by openapi-fetch.
// node walk.js URL APPLICANT_TOKEN REVIEWER_TOKEN
import { strict as assert } from "node:assert";
import { createHash } from "node:crypto";
import createClient from "openapi-fetch";
import type { components, paths } from "./schema.js";

type Schemas = components["schemas"];
const RELEASE = "smollm2-135m";
const [url, applicant, reviewer] = process.argv.slice(2);
assert(url && applicant && reviewer);

const clientOf = (token: string) =>
  createClient<paths>({ baseUrl: url, headers: { Authorization: `Bearer ${token}` } });
const alice = clientOf(applicant);
const rita = clientOf(reviewer);

function data<T>(answer: { data?: T; error?: unknown; response: Response }): T {
  assert(answer.data !== undefined, `${answer.response.status} ${JSON.stringify(answer.error)}`);
  return answer.data;
}

async function apply(): Promise<number> {
  const before = data(await alice.GET("/api/v1/account/"));
  assert.equal(before.affiliation, null);
  const wrong = await alice.PATCH("/api/v1/account/", { body: { affiliation: { country: "NL" } } });
  assert.equal(wrong.error?.status, 400);
  assert.ok(wrong.error.fields?.["affiliation.institution"]);
  const affiliation = {
    category: "academia",
    institution: "University of Testing",
    country: "NL",
    position: "PhD student",
  } as const;
  const account = data(await alice.PATCH("/api/v1/account/", { body: { affiliation } }));
  const form = data(
    await alice.GET("/api/v1/releases/{slug}/form/", { params: { path: { slug: RELEASE } } }),
  );
  const answers: Record<string, Schemas["Answer"]> = {};
  for (const question of form.questions) {
    if (question.required) answers[question.key] = answer(question);
  }
  const draft = data(
    await alice.POST("/api/v1/applications/", { body: { releases: [RELEASE], answers } }),
  );
  const submitted = data(
    await alice.POST("/api/v1/applications/{id}/submit/", {
      params: { path: { id: draft.id } },
      body: { typed_name: account.name, licence_sha256: form.licence.sha256 },
    }),
  );
  assert.equal(submitted.state, "submitted");
  return submitted.id;
}

function answer(question: Schemas["Question"]): Schemas["Answer"] {
  if (question.type === "choice") return question.choices?.[0]?.[0] ?? null;
  return question.type === "boolean" ? true : "How small models keep facts.";
}

async function approve(id: number): Promise<void> {
  const params = { path: { id } };
  const forbidden = await alice.POST("/api/v1/applications/{id}/claim/", { params });
  assert.equal(forbidden.error?.status, 403);
  data(await rita.POST("/api/v1/applications/{id}/claim/", { params }));
  const read = data(await rita.GET("/api/v1/applications/{id}/", { params }));
  const version = read.review?.version;
  assert(version);
  const approved = data(
    await rita.POST("/api/v1/applications/{id}/approve/", { params, body: { version } }),
  );
  assert.equal(approved.state, "approved");
}

async function download(): Promise<void> {
  const links = data(
    await alice.POST("/api/v1/releases/{slug}/links/", {
      params: { path: { slug: RELEASE } },
      body: { paths: ["tokenizer.json"] },
    }),
  );
  assert(typeof links !== "string");
  const [link] = links;
  assert(link);
  const content = Buffer.from(await (await fetch(link.url)).arrayBuffer());
  assert.equal(createHash("sha256").update(content).digest("hex"), link.sha256);
  const sums = data(
    await alice.GET("/api/v1/releases/{slug}/revisions/{revision}/SHA256SUMS", {
      params: { path: { slug: RELEASE, revision: "main" } },
      parseAs: "text",
    }),
  );
  assert(sums.includes(`${link.sha256}  ${link.path}\n`));
}

async function prompt(): Promise<void> {
  const started = data(
    await alice.POST("/api/v1/runs/", {
      body: {
        release: RELEASE,
        prompt: "The capital of France is",
        max_tokens: 8,
        temperature: 0,
        seed: 1,
      },
    }),
  );
  const params = { path: { run_id: started.id } };
  const stream = data(
    await alice.GET("/api/v1/runs/{run_id}/stream/", { params, parseAs: "stream" }),
  );
  assert(stream);
  let text = "";
  let end: Schemas["RunEnd"] | undefined;
  for await (const { event, json } of eventsOf(stream)) {
    if (event === "token") text += (json as Schemas["RunToken"]).text;
    if (event === "end") end = json as Schemas["RunEnd"];
  }
  const run = data(await alice.GET("/api/v1/runs/{run_id}/", { params }));
  assert.equal(end?.status, "finished");
  assert.equal(run.output, text);
  assert.match(text, /Paris/);
}

async function* eventsOf(stream: ReadableStream<Uint8Array>) {
  const decoder = new TextDecoder();
  let rest = "";
  for await (const chunk of stream) {
    rest += decoder.decode(chunk, { stream: true });
    const frames = rest.split("\n\n");
    rest = frames.pop() ?? "";
    for (const frame of frames) {
      const event = /^event: (.*)$/m.exec(frame)?.[1];
      const found = /^data: (.*)$/m.exec(frame)?.[1];
      if (event && found) yield { event, json: JSON.parse(found) as unknown };
    }
  }
}

const refused = await alice.POST("/api/v1/releases/{slug}/links/", {
  params: { path: { slug: RELEASE } },
});
assert(typeof refused.error === "object" && refused.error.code === "not_granted");
await approve(await apply());
await download();
await prompt();
