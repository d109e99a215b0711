require "enotify";
notify :options "fast" "mailto:a@example.com";
