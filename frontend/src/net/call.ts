/** Procedures of the server, with the types of their arguments and results. */
import type { Centrifuge } from "centrifuge";
import type { Procedures } from "../generated/channels";

/** Rejects as the SDK's `rpc` does. */
export async function call<Name extends keyof Procedures>(
  client: Centrifuge,
  name: Name,
  values: Procedures[Name]["arguments"],
): Promise<Procedures[Name]["result"]> {
  const { data } = await client.rpc(name, values);
  return data as Procedures[Name]["result"];
}
