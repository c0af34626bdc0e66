import * as comity from "/node_modules/comity/dist/esm/index.js";
import { scenario } from "./scenario.js";

self.onmessage = ({ data }) => {
  scenario(comity, ...data).then(
    (result) => self.postMessage(result),
    (error) => self.postMessage({ error: error.stack }),
  );
};
