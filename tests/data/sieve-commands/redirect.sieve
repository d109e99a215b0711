require "copy";
redirect :copy "friend@example.net";
redirect "boss@example.net";
