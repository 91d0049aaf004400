import type { FastifyPluginAsyncZod } from 'fastify-type-provider-zod'
import { z } from 'zod'
import type { ApiBackend } from '../backend.ts'
import {
  forceQuery,
  job,
  nameParameter,
  newVolume,
  recovery,
  resize,
  volume,
  volumeChange,
} from '../schemas.ts'
import { answers } from './answers.ts'
import { sendLongList } from './long-list.ts'

const tags = ['volumes']

export const volumeRoutes: FastifyPluginAsyncZod<{ backend: ApiBackend }> = async (app, { backend }) => {
  const { control } = backend
  app.get(
    '/volumes',
    { schema: { tags, summary: 'All volumes', response: answers(200, z.array(volume)) } },
    async (_request, reply) => sendLongList(reply, volume, await control.listVolumes()),
  )
  app.post(
    '/volumes',
    { schema: { tags, summary: 'Make a volume', body: newVolume, response: answers(201, volume) } },
    async (request, reply) => reply.code(201).send(await control.createVolume(request.body)),
  )
  app.get(
    '/volumes/:name',
    { schema: { tags, summary: 'One volume', params: nameParameter, response: answers(200, volume) } },
    async request => control.showVolume(request.params.name),
  )
  app.patch(
    '/volumes/:name',
    {
      schema: {
        tags,
        summary: 'Change a volume',
        params: nameParameter,
        body: volumeChange,
        response: answers(200, volume),
      },
    },
    async request => control.setVolume(request.params.name, request.body),
  )
  app.post(
    '/volumes/:name/resize',
    {
      schema: {
        tags,
        summary: 'Make a volume larger; sessions go on and are told',
        params: nameParameter,
        body: resize,
        response: answers(200, volume),
      },
    },
    async request => control.resizeVolume(request.params.name, request.body.sizeBytes),
  )
  app.post(
    '/volumes/:name/recover',
    {
      schema: {
        tags,
        summary: 'Go on without the bricks of peers that are off; what only they have is lost',
        params: nameParameter,
        body: recovery,
        response: answers(200, volume),
      },
    },
    async request => control.recoverVolume(request.params.name, request.body),
  )
  app.delete(
    '/volumes/:name',
    {
      schema: {
        tags,
        summary: 'Delete a volume; its data is freed by the job that is answered',
        params: nameParameter,
        querystring: forceQuery,
        response: answers(202, job),
      },
    },
    async (request, reply) => {
      const started = await control.deleteVolume(request.params.name, { force: request.query.force })
      return reply.code(202).send(started)
    },
  )
}
