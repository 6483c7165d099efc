/** The options that have to do with messages between shards. They are part of `RUNTIME_OPTIONS` in `src/runtime/options.ts`. */
import { HOT_THRESHOLD_DEFAULT, MESSAGES_MAX, MESSAGES_MAX_DEFAULT } from "../constants.js";
import { integerOption } from "../runtime/option.js";
import { SUM_MAX } from "../shared/lane.js";

/** The definition of each option for messages. */
export const MESSAGE_OPTIONS = {
  messagesMax: integerOption({
    flag: "messages-max",
    environment: ["RINGLOOM_MESSAGES_MAX"],
    placeholder: "N",
    fallback: MESSAGES_MAX_DEFAULT,
    fallbackText: "1024",
    min: 2,
    max: MESSAGES_MAX,
    extra: { test: (value) => Number.isInteger(Math.log2(value)), text: "a power of two" },
    description:
      "Messages that may wait from one shard to one other. One more is refused with ERR_RINGLOOM_OVERLOADED.",
  }),
  hotThreshold: integerOption({
    flag: "hot-threshold",
    environment: ["RINGLOOM_HOT_THRESHOLD"],
    placeholder: "N",
    fallback: HOT_THRESHOLD_DEFAULT,
    fallbackText: "1024",
    min: 1,
    max: SUM_MAX,
    description: "What a hot counter collects before its receiver sees it, while that one still has something to take.",
  }),
};
