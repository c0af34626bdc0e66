import { ComityError, connect, Ring } from "/node_modules/comity/dist/esm/index.js";

window.scenario = async () => {
  const seen = [];
  for (const use of [() => new Ring(["a"]).node("x"), () => connect()]) {
    try {
      await use();
      seen.push("no error");
    } catch (error) {
      seen.push([error instanceof ComityError, error.name, error.message]);
    }
  }
  return seen;
};
