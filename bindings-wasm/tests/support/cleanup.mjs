// What a test began ends with it, the last first: a client before its server.

const stacks = new WeakMap();

/** Has `end` called after the test of the context `t`, before all that was given here earlier. */
export function cleanup(t, end) {
  let stack = stacks.get(t);
  if (stack === undefined) {
    stack = [];
    stacks.set(t, stack);
    t.after(async () => {
      const errors = [];
      while (stack.length > 0) {
        try {
          await stack.pop()();
        } catch (error) {
          errors.push(error);
        }
      }
      if (errors.length > 0) throw errors[0];
    });
  }
  stack.push(end);
}
