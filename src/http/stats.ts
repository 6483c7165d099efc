/** Counters and gauges of one HTTP server. */
import type { TopicCounts } from "../ws/topics.js";

/**
 * What an HTTP server counts. Plain numbers, so that a shard can publish them by copying. They only grow, except where the name says
 * `Now`: those are gauges, and all of them are 0 when no connection is open.
 * @experimental
 */
export class HttpStats {
  /** Requests whose head was complete and valid, and that were given to a handler. */
  requests = 0;
  /** Answers whose last byte was queued, error answers included. */
  answers = 0;
  /** Answers by class. */
  answers2xx = 0;
  answers3xx = 0;
  answers4xx = 0;
  answers5xx = 0;

  /** Malformed requests (400). */
  badRequests = 0;
  /** Heads above the byte or count limit (431). */
  headerOverflows = 0;
  /** Request targets above the limit (414). */
  urlOverflows = 0;
  /** Bodies above a limit (413). */
  bodyOverflows = 0;
  /** Unknown expectations (417). */
  expectationsFailed = 0;
  /** Transfer codings or methods that are not implemented (501). */
  notImplemented = 0;
  /** HTTP versions other than 1.0 and 1.1 (505). */
  versionsRejected = 0;
  /** Requests answered 503 because a pool was exhausted. */
  overloads = 0;
  /** Times that the driver's write pool had no room for an answer. */
  writePoolExhausted = 0;

  /** Heads that took too long (408). */
  headerTimeouts = 0;
  /** Bodies that stopped arriving (408). */
  bodyTimeouts = 0;
  /** Keep-alive connections closed because no request came. */
  idleTimeouts = 0;
  /** Connections closed because the peer took no byte of an answer. */
  writeTimeouts = 0;
  /** Handlers that did not answer in time (503). */
  handlerTimeouts = 0;
  /** Connections closed because their peer half-closed and the handler did not answer in time. */
  halfClosedTimeouts = 0;

  /** Handlers that threw, rejected or answered nothing. */
  handlerErrors = 0;
  /** Answers that came after their request was over. */
  lateAnswers = 0;
  /** Requests whose connection ended, or that the server itself answered, before their handler's answer was complete. */
  aborted = 0;
  /** Response streams that failed after their head had left, so that the connection was cut. */
  responseStreamErrors = 0;
  /** Connections that the peer reset. */
  resets = 0;
  /** Times that a connection's further requests waited because it did not take its answers. */
  stalls = 0;

  webSocketsOpened = 0;
  webSocketMessagesReceived = 0;
  webSocketMessagesSent = 0;
  /** Messages that were not sent because their peers read too slowly. */
  webSocketMessagesDropped = 0;
  /** WebSockets closed because their peers broke the protocol or a limit. */
  webSocketViolations = 0;
  /** WebSockets cut because their peers did not answer a ping. */
  webSocketIdleTimeouts = 0;
  /** Messages published on this shard. */
  webSocketPublished = 0;
  /** `publish` that reached nobody, because another shard had left no room. */
  webSocketPublishesDropped = 0;
  /** Messages that other shards have published and this one has handed to its subscribers. */
  webSocketPublishedElsewhere = 0;
  /** Published messages that a subscriber missed because its peer reads too slowly. */
  webSocketTopicMessagesDropped = 0;
  /** Subscribers closed or cut because they missed a message. */
  webSocketSlowConsumers = 0;
  /** Times that this shard was busy for so long that messages of others went by. */
  webSocketTopicsMissed = 0;

  connectionsNow = 0;
  webSocketsNow = 0;
  /** Subscriptions of WebSockets to topics. */
  webSocketSubscriptionsNow = 0;
  /** Bytes of WebSocket messages that are incomplete or wait for a handler. */
  webSocketInboundBytesNow = 0;
  /** Requests dispatched and not completely answered. */
  requestsNow = 0;
  /** Connections that are inside a request. */
  parserStatesNow = 0;
  /** Heads kept outside the receive buffer. */
  headArenasNow = 0;
  /** Connections with pipelined bytes that wait. */
  pendingBuffersNow = 0;
  /** Blocks of the large-body pool in use. */
  largeBodiesNow = 0;

  /** Takes over what the topics of the app count. */
  setTopics(counts: Readonly<TopicCounts>): void {
    this.webSocketPublished = counts.published;
    this.webSocketPublishesDropped = counts.publishesDropped;
    this.webSocketPublishedElsewhere = counts.arrived;
    this.webSocketTopicsMissed = counts.missed;
    this.webSocketSubscriptionsNow = counts.subscriptionsNow;
  }

  /** Counts an answer whose last byte was queued. */
  countAnswer(status: number): void {
    this.answers += 1;
    if (status < 300) this.answers2xx += 1;
    else if (status < 400) this.answers3xx += 1;
    else if (status < 500) this.answers4xx += 1;
    else this.answers5xx += 1;
  }

  /** Counts a request that the server itself refused; timeouts and exhausted pools are counted where they are found. */
  countRefusal(status: number): void {
    switch (status) {
      case 400:
        this.badRequests += 1;
        break;
      case 413:
        this.bodyOverflows += 1;
        break;
      case 414:
        this.urlOverflows += 1;
        break;
      case 417:
        this.expectationsFailed += 1;
        break;
      case 431:
        this.headerOverflows += 1;
        break;
      case 501:
        this.notImplemented += 1;
        break;
      case 505:
        this.versionsRejected += 1;
        break;
    }
  }
}
