/** Calls of the server's procedures, with the generated types of their arguments and results. */
import type { Centrifuge } from "centrifuge";
import type { Procedures } from "../generated/channels";

/**
 * Calls a procedure and resolves with its result.
 *
 * Rejects with the server's `{code, message}` when the procedure refuses, and with a code below 100 when no answer came
 * because the connection was lost or the SDK's time-out passed: the procedure may have run.
 */
export async function call<Name extends keyof Procedures>(
  client: Centrifuge,
  name: Name,
  values: Procedures[Name]["arguments"],
): Promise<Procedures[Name]["result"]> {
  const { data } = await client.rpc(name, values);
  return data as Procedures[Name]["result"];
}
