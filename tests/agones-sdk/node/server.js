// A game server with the published SDK: calls everything it has, and fails at the first answer that is
// not what Agones promises.
const assert = require("node:assert");
const AgonesSDK = require("@google-cloud/agones-sdk");

const NOT_FOUND = 5;
const ALREADY_EXISTS = 6;
const OUT_OF_RANGE = 11;

async function main() {
  const sdk = new AgonesSDK();
  await sdk.connect();

  const states = [];
  const waiting = [];
  sdk.watchGameServer((server) => {
    states.push(server.status.state);
    waiting.splice(0).forEach((look) => look());
  }, () => {});
  const seen = async (state) => {
    while (states.at(-1) !== state) {
      await new Promise((look) => waiting.push(look));
    }
  };
  const refused = (code) => (error) => error.code === code;

  sdk.health();
  sdk.health();
  await sdk.ready();
  await seen("Ready");
  await sdk.allocate();
  await seen("Allocated");
  await sdk.ready();
  await seen("Ready");
  await sdk.reserve(30);
  await seen("Reserved");
  await sdk.setLabel("map", "dust");
  await sdk.setAnnotation("about", "two words");

  const server = await sdk.getGameServer();
  const labels = new Map(server.objectMeta.labelsMap);
  const annotations = new Map(server.objectMeta.annotationsMap);
  assert.strictEqual(labels.get("agones.dev/sdk-map"), "dust");
  assert.strictEqual(annotations.get("agones.dev/sdk-about"), "two words");
  assert.strictEqual(server.status.state, "Reserved");
  assert.strictEqual(server.spec.health.periodSeconds, 5);

  assert.strictEqual(await sdk.beta.getCounterCount("rooms"), 1);
  assert.strictEqual(await sdk.beta.getCounterCapacity("rooms"), 10);
  await sdk.beta.incrementCounter("rooms", 3);
  await sdk.beta.decrementCounter("rooms", 1);
  assert.strictEqual(await sdk.beta.getCounterCount("rooms"), 3);
  await sdk.beta.setCounterCapacity("rooms", 4);
  await sdk.beta.setCounterCount("rooms", 0);
  assert.strictEqual(await sdk.beta.getCounterCount("rooms"), 0);
  await assert.rejects(sdk.beta.incrementCounter("rooms", 5), refused(OUT_OF_RANGE));
  await assert.rejects(sdk.beta.getCounterCount("none"), refused(NOT_FOUND));

  await sdk.beta.appendListValue("maps", "p1");
  await assert.rejects(sdk.beta.appendListValue("maps", "p1"), refused(ALREADY_EXISTS));
  assert.deepStrictEqual(await sdk.beta.getListValues("maps"), ["p0", "p1"]);
  assert.ok(await sdk.beta.listContains("maps", "p1"));
  await sdk.beta.setListCapacity("maps", 2);
  assert.strictEqual(await sdk.beta.getListCapacity("maps"), 2);
  await assert.rejects(sdk.beta.appendListValue("maps", "p2"), refused(OUT_OF_RANGE));
  await sdk.beta.deleteListValue("maps", "p0");
  await assert.rejects(sdk.beta.deleteListValue("maps", "p0"), refused(NOT_FOUND));
  assert.strictEqual(await sdk.beta.getListLength("maps"), 1);

  await sdk.alpha.setPlayerCapacity(1);
  assert.strictEqual(await sdk.alpha.getPlayerCapacity(), 1);
  assert.strictEqual(await sdk.alpha.playerConnect("ann"), true);
  assert.strictEqual(await sdk.alpha.playerConnect("ann"), false);
  await assert.rejects(sdk.alpha.playerConnect("bob"), refused(OUT_OF_RANGE));
  assert.strictEqual(await sdk.alpha.getPlayerCount(), 1);
  assert.strictEqual(await sdk.alpha.isPlayerConnected("ann"), true);
  assert.deepStrictEqual(await sdk.alpha.getConnectedPlayers(), ["ann"]);
  assert.strictEqual(await sdk.alpha.playerDisconnect("ann"), true);

  await sdk.shutdown();
  await seen("Shutdown");
  console.log("everything is as Agones promises");
  sdk.close();
  process.exit(0);
}

main().catch((error) => {
  console.error(error);
  process.exit(1);
});
