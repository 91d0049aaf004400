import type { FastifyError, FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import { type CauseCode, causes } from '../errors/causes.ts'
import { HoldfastError } from '../errors/holdfast-error.ts'
import type { Log } from '../lib/log.ts'

export const PROBLEM_TYPE = 'application/problem+json'

export interface Problem {
  readonly type: string
  readonly title: string
  readonly status: number
  readonly detail: string
  readonly code: CauseCode
}

/** RFC 9457. `status` differs from the table's only where the HTTP layer itself refused. */
export function problemOf(code: CauseCode, detail: string, status: number = causes[code].http): Problem {
  return { type: `urn:holdfast:error:${code}`, title: causes[code].says, status, detail, code }
}

/** What a thrown error says to the client; anything unexpected says nothing of itself. */
export function problemOfError(error: unknown): Problem {
  if (error instanceof HoldfastError) return problemOf(error.code, error.message)
  const status = (error as FastifyError).statusCode ?? 500
  // fastify's own refusals: a body that is no JSON, too large, or of another type.
  if (status >= 400 && status < 500) {
    return problemOf('ERR_ARGUMENT_INVALID', (error as FastifyError).message, status)
  }
  return problemOf('ERR_INTERNAL', causes.ERR_INTERNAL.says)
}

export function sendProblem(reply: FastifyReply, problem: Problem): FastifyReply {
  return reply
    .code(problem.status)
    .type(PROBLEM_TYPE)
    .serializer((payload: unknown) => JSON.stringify(payload))
    .send(problem)
}

/** For what fastify refuses before it knows a route: a path that is too long or badly escaped. */
export function sendFrameworkProblem(
  error: FastifyError,
  _request: FastifyRequest,
  reply: FastifyReply,
): void {
  const detail = error.code === 'FST_ERR_MAX_PARAM_LENGTH' ? 'a name in the path is too long' : error.message
  sendProblem(reply, problemOf('ERR_ARGUMENT_INVALID', detail, error.statusCode ?? 400))
}

export function installProblems(app: FastifyInstance, log: Log): void {
  app.setErrorHandler((error, request, reply) => {
    const answer = problemOfError(error)
    if (answer.status >= 500) {
      const asked = { method: request.method, path: request.url.split('?')[0] }
      // Of a cause in our table the sentence says enough; anything else is a bug, with its trace.
      if (error instanceof HoldfastError)
        log.warn({ ...asked, code: error.code, detail: error.message }, 'request failed')
      else log.error({ ...asked, err: error }, 'request failed')
    }
    return sendProblem(reply, answer)
  })
  app.setNotFoundHandler((request, reply) =>
    sendProblem(
      reply,
      problemOf('ERR_PATH_NOT_FOUND', `the API has no ${request.method} ${request.url.split('?')[0]}`),
    ),
  )
}
