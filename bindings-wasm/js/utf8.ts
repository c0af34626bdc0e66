/** The platform's, which a page imitated in Node (jsdom) does not have: there they are Node's. */

interface Codecs {
  readonly TextEncoder?: typeof globalThis.TextEncoder;
  readonly TextDecoder?: typeof globalThis.TextDecoder;
}

interface Host extends Codecs {
  readonly process?: { getBuiltinModule?(name: "node:util"): Codecs | undefined };
}

const here = globalThis as Host;
const codecs: Codecs = here.TextDecoder
  ? here
  : (here.process?.getBuiltinModule?.("node:util") ?? here);

export const TextEncoder = codecs.TextEncoder as typeof globalThis.TextEncoder;
export const TextDecoder = codecs.TextDecoder as typeof globalThis.TextDecoder;
