require "enotify";
notify "snailto:a@example.com";
