import type { EngineSettings } from '../../engine/protocol/settings';
import { TunerError } from '../../engine/protocol/errors';
import { initializeRequest, protocolVersion } from '../../engine/protocol/messages';
import { localize } from '../common/localize';
import { crashError, fromResponseError } from './engineErrors';
import type { EngineProcess } from './engineProcess';

function reinstall(): string {
  return localize('Reinstall the extension, so that editor and engine have the same version.');
}

function checkAnswer(answer: unknown): string {
  const parsed = initializeRequest.result.safeParse(answer);
  if (!parsed.success) {
    throw new TunerError('malformedMessage', localize('The engine answered the handshake with something else.'), {
      place: 'initialize',
      wayOut: reinstall(),
    });
  }
  if (parsed.data.protocolVersion !== protocolVersion) {
    throw new TunerError(
      'protocolMismatch',
      localize('The engine speaks protocol {theirs}, this client speaks {ours}.', {
        theirs: parsed.data.protocolVersion,
        ours: protocolVersion,
      }),
      { wayOut: reinstall() },
    );
  }
  return parsed.data.engineVersion;
}

/**
 * Introduces the client to a fresh engine and checks that both speak the same protocol.
 *
 * @returns the engine's version
 * @throws TunerError protocolMismatch, malformedMessage, engineCrashed or engineTimedOut
 */
export async function handshake(
  engine: EngineProcess,
  client: string,
  settings: EngineSettings,
  timeoutSeconds: number,
): Promise<string> {
  let timer: NodeJS.Timeout | undefined;
  const failure = new Promise<never>((_, reject) => {
    engine.onDidExit((exit) => reject(crashError(exit)));
    const message = localize('The engine did not answer within {seconds} s of its start.', { seconds: timeoutSeconds });
    timer = setTimeout(() => reject(new TunerError('engineTimedOut', message)), timeoutSeconds * 1000);
  });
  const params = { protocolVersion, client, settings };
  const answer = engine.connection.sendRequest<unknown>(initializeRequest.method, { job: 'initialize', params });
  try {
    return checkAnswer(await Promise.race([answer, failure]));
  } catch (error) {
    throw fromResponseError(error);
  } finally {
    clearTimeout(timer);
    // The loser of the race is settled later, when nobody listens.
    answer.catch(() => undefined);
    failure.catch(() => undefined);
  }
}
