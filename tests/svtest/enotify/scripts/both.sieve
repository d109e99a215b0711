require ["enotify", "notify"];
notify "mailto:a@example.com";
