/** The name, among the options that the shard's service is given, of the channel on which a shard tells which files it loads. */
export const CHANNEL_OPTION = "devChannel";
