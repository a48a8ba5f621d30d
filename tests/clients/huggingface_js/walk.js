// What people do with @huggingface/hub. Prints what came of each call as JSON.
//
// Arguments: the folder of node_modules, the site, the repo, the commit, the tokens of alice and mallory.
"use strict";
const { createHash } = require("node:crypto");
const { createRequire } = require("node:module");
const { readdirSync, readFileSync } = require("node:fs");
const { join, relative } = require("node:path");

const [modules, hubUrl, repo, commit, alices, mallorys] = process.argv.slice(2);
const hub = createRequire(join(modules, "x"))("@huggingface/hub");
console.debug = () => {};
const alice = { hubUrl, repo, name: repo, accessToken: alices };
const results = {};

async function call(name, made) {
  try {
    results[name] = (await made()) ?? null;
  } catch (error) {
    results[name] = `${error.constructor.name} ${error.statusCode ?? ""}: ${error.message}`;
  }
}

async function all(generator) {
  const found = [];
  for await (const one of generator) found.push(one);
  return found;
}

const digest = (bytes) => createHash("sha256").update(Buffer.from(bytes)).digest("hex");

async function download(path, more = {}) {
  const blob = await hub.downloadFile({ ...alice, path, ...more });
  return blob && digest(await blob.arrayBuffer());
}

async function part(path, from, to) {
  const blob = await hub.downloadFile({ ...alice, path });
  return digest(await blob.slice(from, to).arrayBuffer());
}

async function info(path, more = {}) {
  const found = await hub.fileDownloadInfo({ ...alice, path, ...more });
  return found && [found.size, found.etag.replaceAll('"', ""), found.url.replace(hubUrl, "")];
}

async function snapshot() {
  const folder = await hub.snapshotDownload({ ...alice, cacheDir: "cache" });
  const files = readdirSync(folder, { recursive: true, withFileTypes: true }).filter((one) => !one.isDirectory());
  return Object.fromEntries(
    files.map((one) => join(one.parentPath, one.name)).map((path) => [relative(folder, path), digest(readFileSync(path))]),
  );
}

async function safetensors() {
  const found = await hub.parseSafetensorsMetadata({ ...alice, computeParametersCount: true });
  return [found.sharded, Object.keys(found.headers).length, found.parameterCount];
}

async function model(more) {
  const found = await hub.modelInfo({ ...alice, additionalFields: ["sha", "cardData", "filePaths", "safetensors"], ...more });
  return { ...found, updatedAt: !isNaN(found.updatedAt), filePaths: found.filePaths.sort() };
}

async function refused(name, accessToken) {
  const who = { ...alice, accessToken };
  await call(`${name}: exists`, () => hub.fileExists({ ...who, path: "params.json" }));
  await call(`${name}: download`, () => hub.downloadFile({ ...who, path: "params.json" }));
  await call(`${name}: weights`, () => hub.parseSafetensorsMetadata(who));
  await call(`${name}: snapshot`, () => hub.snapshotDownload({ ...who, cacheDir: name }));
  await call(`${name}: info`, async () => (await hub.modelInfo(who)).name);
}

async function main() {
  await call("whoami", async () => (await hub.whoAmI(alice)).name);
  await call("info", () => model({}));
  await call("info of a commit", async () => (await model({ revision: commit })).sha);
  await call("access", () => hub.checkRepoAccess(alice));
  await call("exists", () => hub.repoExists(alice));
  await call("exists not", () => hub.repoExists({ ...alice, repo: "meta/none" }));
  await call("models", async () =>
    (await all(hub.listModels({ ...alice, search: { query: "llama", owner: "meta", task: "text-generation" } }))).map((one) => one.name),
  );
  await call("files", async () => (await all(hub.listFiles({ ...alice, recursive: true }))).map((one) => [one.path, one.type, one.size]));
  await call("dated files", async () => (await all(hub.listFiles({ ...alice, expand: true, path: "evals" }))).map((one) => one.lastCommit.id));
  await call("paths", async () =>
    (await hub.pathsInfo({ ...alice, paths: ["params.json", "none"], expand: true })).map((one) => [one.path, one.lastCommit.id]),
  );
  await call("commits", async () => (await all(hub.listCommits(alice))).map((one) => one.oid));
  await call("number of commits", () => hub.countCommits(alice));
  await call("file exists", () => Promise.all(["params.json", "model.safetensors.index.json", "README.md", "none.json"].map(
    (path) => hub.fileExists({ ...alice, path }),
  )));
  await call("file", () => download("params.json"));
  await call("file of a tag", () => download("evals/boolq.json", { revision: "v1" }));
  await call("file of HEAD", () => download("params.json", { revision: "HEAD" }));
  await call("large file", () => download("big.bin.txt"));
  await call("part", () => part("big.bin.txt", 7_000_000, 7_100_000));
  await call("part of the card", () => part("README.md", 10, 50));
  await call("card", () => download("README.md"));
  await call("pointer", () => download("consolidated.00.pth", { raw: true }));
  await call("absent", () => download("none.json"));
  await call("download info", () => info("params.json"));
  await call("download info of the card", () => info("README.md"));
  await call("download info of the pointer", () => info("consolidated.00.pth", { raw: true }));
  await call("safetensors", safetensors);
  await call("snapshot", snapshot);
  await refused("mallory", mallorys);
  await refused("nobody", undefined);
  await call("wrong token", () => hub.whoAmI({ ...alice, accessToken: "hf_wb_of-nobody" }));
  console.log(JSON.stringify(results));
}

main();
