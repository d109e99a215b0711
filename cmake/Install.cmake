install(DIRECTORY schema/ DESTINATION ${CMAKE_INSTALL_DATADIR}/vmail-lda/schema
    FILES_MATCHING PATTERN "*.sql")
install(FILES docs/vmail-lda.1 docs/vmail.1 DESTINATION ${CMAKE_INSTALL_MANDIR}/man1)
install(FILES docs/vmail.conf.5 DESTINATION ${CMAKE_INSTALL_MANDIR}/man5)
install(FILES docs/vmail-sieve.7 DESTINATION ${CMAKE_INSTALL_MANDIR}/man7)
install(FILES postfix-master.cf.example vmail.conf.example README.md LICENSE
    docs/dovecot.conf.example docs/pgbouncer.ini.example
    DESTINATION ${CMAKE_INSTALL_DOCDIR})
# the units name the program where it is installed; systemd looks below /usr/local/lib too
foreach(unit vmail-sync.service vmail-sync-all.service)
    file(READ ${PROJECT_SOURCE_DIR}/systemd/${unit} text)
    string(REPLACE "/usr/bin/vmail " "${CMAKE_INSTALL_FULL_BINDIR}/vmail " text "${text}")
    file(WRITE ${PROJECT_BINARY_DIR}/systemd/${unit} "${text}")
    install(FILES ${PROJECT_BINARY_DIR}/systemd/${unit} DESTINATION lib/systemd/system)
endforeach()
install(FILES systemd/vmail-sync-all.timer DESTINATION lib/systemd/system)
