import * as comity from "comity";
import { scenario } from "./scenario.js";

window.scenario = (...words) => scenario(comity, ...words);
