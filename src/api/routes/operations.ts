import type { FastifyPluginAsyncZod } from 'fastify-type-provider-zod'
import { z } from 'zod'
import { HoldfastError } from '../../errors/holdfast-error.ts'
import type { ScrubProgress } from '../../store/brick.ts'
import type { ApiBackend } from '../backend.ts'
import { NOTICE_HEADER } from '../notice.ts'
import { event, eventsQuery, finding, job, scrub, scrubStart, session, status } from '../schemas.ts'
import { answers } from './answers.ts'

const tags = ['operations']
const byId = z.object({ id: z.string().min(1).max(256) })

export const operationRoutes: FastifyPluginAsyncZod<{ backend: ApiBackend }> = async (app, { backend }) => {
  const { control } = backend
  app.get(
    '/status',
    { schema: { tags, summary: 'How the daemon is', response: answers(200, status) } },
    async () => backend.status(),
  )
  app.get(
    '/doctor',
    { schema: { tags, summary: 'What is wrong or risky', response: answers(200, z.array(finding)) } },
    async () => backend.doctor(),
  )
  app.get(
    '/sessions',
    {
      schema: {
        tags,
        summary: 'Sessions of clients, at all daemons of the cluster',
        description: `A peer that is up and does not say which it has is named in the header ${NOTICE_HEADER}.`,
        response: answers(200, z.array(session)),
      },
    },
    async (_request, reply) => {
      const { sessions, silent } = await control.listSessions()
      if (silent.length > 0)
        reply.header(NOTICE_HEADER, `${silent.join(', ')} did not say which sessions there are`)
      return [...sessions]
    },
  )
  app.delete(
    '/sessions/:id',
    {
      schema: {
        tags,
        summary: 'End a session; its initiator may come back',
        params: byId,
        response: answers(204, z.null()),
      },
    },
    async (request, reply) => {
      await control.kickSession(request.params.id)
      return reply.code(204).send(null)
    },
  )
  app.get(
    '/events',
    {
      schema: {
        tags,
        summary: 'What happened, newest first',
        querystring: eventsQuery,
        response: answers(200, z.array(event)),
      },
    },
    async request => control.listEvents(request.query.limit),
  )
  app.get(
    '/jobs',
    { schema: { tags, summary: 'Long operations', response: answers(200, z.array(job)) } },
    async () => control.jobs(),
  )
  app.get(
    '/jobs/:id',
    { schema: { tags, summary: 'One long operation', params: byId, response: answers(200, job) } },
    async request => {
      const found = control.jobs().find(({ id }) => id === request.params.id)
      if (found === undefined)
        throw new HoldfastError('ERR_JOB_NOT_FOUND', `there is no job '${request.params.id}'`)
      return found
    },
  )
  app.get(
    '/scrub',
    { schema: { tags, summary: 'The scrub, running or last', response: answers(200, scrub) } },
    async () => shownScrub(backend.scrub),
  )
  app.post(
    '/scrub',
    {
      schema: {
        tags,
        summary: 'Start a scrub, unless one is running',
        body: scrubStart.nullish(),
        response: answers(202, job),
      },
    },
    async (request, reply) => {
      const bytesPerSecond = request.body?.bytesPerSecond ?? backend.scrubBytesPerSecond
      return reply.code(202).send(await control.startScrub({ bytesPerSecond }))
    },
  )
  app.delete(
    '/scrub',
    { schema: { tags, summary: 'Stop the scrub', response: answers(200, scrub) } },
    async () => {
      await backend.stopScrub()
      return shownScrub(backend.scrub)
    },
  )
}

function shownScrub(progress: ScrubProgress | null): z.output<typeof scrub> {
  if (progress === null) {
    const nothing = { checkedBytes: 0, totalBytes: 0, badBlocks: 0, settledBlocks: 0 }
    return { state: 'never', ...nothing, startedAt: null, endedAt: null }
  }
  const { checkedBytes, totalBytes, badBlocks, settledBlocks, startedAtMs, endedAtMs } = progress
  return {
    state: endedAtMs === null ? 'running' : 'ended',
    checkedBytes,
    totalBytes,
    badBlocks,
    settledBlocks,
    startedAt: new Date(startedAtMs).toISOString(),
    endedAt: endedAtMs === null ? null : new Date(endedAtMs).toISOString(),
  }
}
